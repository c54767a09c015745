// Package text reads text that somebody else wrote, whatever its encoding, and says how it was written. It is the one
// reader of captions, references, predictions, lists and sidecars.
//
// The rule, in this order:
//
//  1. A byte order mark tells the encoding: UTF-8, UTF-16 or UTF-32. It is no part of the text.
//  2. Without one, text whose every second byte is mostly NUL is UTF-16, as Windows writes it: at least half of the
//     second bytes of all pairs, and none of the first (or the reverse), among the first 4096 bytes.
//  3. Else it is UTF-8 as long as that is valid. Where the first bytes beyond ASCII are no UTF-8, the whole text is
//     Windows-1252. Bytes that are no UTF-8 within a text of UTF-8 are read as Windows-1252 one by one, and counted.
//
// What is no text is refused with a *BinaryError: bytes of an image, control characters near the beginning, or a NUL
// anywhere, unless NULs separate the entries of a list.
package text

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/transform"

	"captioner/data/image"
)

// headSize is how much of a text is looked at before it is read.
const headSize = 4096

// Reader reads a text as UTF-8. It waits for no more bytes than it needs, so a list can come from a program that is
// still writing it.
type Reader struct {
	source  *bufio.Reader
	decoded io.Reader // nil before the first Read
	narrow  *narrow   // the decoder of bytes, nil for wide characters
	found   Encoding
	nul     bool
	err     error
}

// NewReader reads the text in r.
func NewReader(r io.Reader) *Reader { return &Reader{source: bufio.NewReaderSize(r, headSize)} }

// NewListReader reads a list of file names, whose entries may be separated by NULs, as find -print0 writes it. A file
// name is any bytes: they pass as they are, but for UTF-16, UTF-32 and byte order marks. See Decode for names that are
// no UTF-8 and are not found.
func NewListReader(r io.Reader) *Reader {
	t := NewReader(r)
	t.nul = true
	return t
}

// Encoding is how the text is written, as far as it was read.
func (t *Reader) Encoding() Encoding {
	e := t.found
	if t.narrow != nil {
		e.Charset, e.Stray = t.narrow.charset(), t.narrow.stray
	}
	return e
}

// Decode reads a short text by the rules of a Reader for bytes: UTF-8, else Windows-1252.
func Decode(s string) string {
	decoded, _, err := transform.String(&narrow{}, s)
	if err != nil { // it has a NUL
		return s
	}
	return decoded
}

// Read gives the text as valid UTF-8; of a list, its bytes.
func (t *Reader) Read(b []byte) (int, error) {
	if t.decoded == nil && t.err == nil {
		t.err = t.begin()
	}
	if t.err != nil {
		return 0, t.err
	}
	return t.decoded.Read(b)
}

// begin finds the encoding.
func (t *Reader) begin() error {
	head, err := t.head()
	if err != nil {
		return err
	}
	t.found = Encoding{Charset: UTF8}
	for _, m := range marks {
		if bytes.HasPrefix(head, []byte(m.bytes)) {
			t.found = Encoding{Charset: m.charset, Mark: true}
			t.source.Discard(len(m.bytes))
			head = head[len(m.bytes):]
			break
		}
	}
	if !t.found.Mark {
		if charset := wide(head); charset != "" {
			t.found.Charset = charset
		}
	}
	if codec := t.found.Charset.codec(); codec != nil {
		t.decoded = transform.NewReader(t.source, transform.Chain(codec.NewDecoder(), &noNUL{}))
		return nil
	}
	if err := binary(head, t.nul); err != nil {
		return err
	}
	if t.nul {
		t.decoded = t.source
		return nil
	}
	t.narrow = &narrow{utf8: t.found.Mark}
	t.decoded = transform.NewReader(t.source, t.narrow)
	return nil
}

// head looks at the first bytes: what comes at once, and more only where that is less than a line.
func (t *Reader) head() ([]byte, error) {
	if _, err := t.source.Peek(1); err != nil && err != io.EOF {
		return nil, err
	}
	const shortest = 16 // bytes that tell every kind of image
	head, _ := t.source.Peek(t.source.Buffered())
	if len(head) > 0 && len(head) < shortest && head[len(head)-1] != '\n' {
		if _, err := t.source.Peek(shortest); err != nil && err != io.EOF {
			return nil, err
		}
		head, _ = t.source.Peek(t.source.Buffered())
	}
	return head, nil
}

// wide finds UTF-16 and UTF-32 without a byte order mark.
func wide(head []byte) Charset {
	if charset := wider(head); charset != "" {
		return charset
	}
	pairs := len(head) / 2
	if pairs < 4 { // "a", NUL, "b", NUL is a list
		return ""
	}
	var nul, control [2]int // of the first and of the second bytes
	for i, b := range head[:2*pairs] {
		if b == 0 {
			nul[i%2]++
		} else if isControl(b) && head[i^1] == 0 {
			control[i%2]++
		}
	}
	switch {
	case nul[0] == 0 && control[0] == 0 && 2*nul[1] >= pairs:
		return UTF16LE
	case nul[1] == 0 && control[1] == 0 && 2*nul[0] >= pairs:
		return UTF16BE
	}
	return ""
}

// wider finds UTF-32: of each four bytes the two that say the plane and the one beside them are NULs, and the last is
// none.
func wider(head []byte) Charset {
	fours := len(head) / 4
	if fours < 2 {
		return ""
	}
	var nul [4]int
	for i, b := range head[:4*fours] {
		if b == 0 {
			nul[i%4]++
		}
	}
	switch {
	case nul[0] == 0 && 2*nul[1] >= fours && nul[2] == fours && nul[3] == fours:
		return UTF32LE
	case nul[3] == 0 && 2*nul[2] >= fours && nul[0] == fours && nul[1] == fours:
		return UTF32BE
	}
	return ""
}

// isControl says whether a byte stands in no text. Escape does: it begins the colors of a terminal.
func isControl(b byte) bool {
	const allowed = "\t\n\v\f\r\x1b"
	return b < ' ' && strings.IndexByte(allowed, b) < 0
}

// binary refuses what is no text by its first bytes.
func binary(head []byte, nul bool) error {
	const near = 512
	control := bytes.IndexFunc(head[:min(len(head), near)], func(r rune) bool {
		return r < ' ' && isControl(byte(r)) && !(r == 0 && nul)
	})
	// "BM" begins a BMP file, and also a list with "BMW.jpg".
	format := image.Format(head)
	if format != "" && (control >= 0 || bytes.IndexByte(head, 0) >= 0 || !utf8.Valid(head[:3])) {
		return &BinaryError{Image: format}
	}
	if control >= 0 {
		return &BinaryError{Byte: head[control]}
	}
	return nil
}

// BinaryError says that something is no text.
type BinaryError struct {
	Image string // the format of the image that it is, "JPEG" or "PNG"; else ""
	Byte  byte   // the byte that stands in no text
}

func (e *BinaryError) Error() string {
	if e.Image != "" {
		return fmt.Sprintf("found an image (%s), want text", e.Image)
	}
	if e.Byte == 0 {
		return "found a NUL byte, want text"
	}
	return fmt.Sprintf("found the byte 0x%02x, want text", e.Byte)
}

// Hint says what to do.
func (e *BinaryError) Hint() string {
	if e.Image != "" {
		return "an image on standard input is captioned with --stdin-image"
	}
	return "text is read as UTF-8, UTF-16 with a byte order mark, or Windows-1252"
}

// narrow decodes bytes: UTF-8 and Windows-1252.
type narrow struct {
	utf8  bool  // UTF-8 beyond ASCII was found
	old   bool  // Windows-1252 was found first
	stray int64 // bytes that are no UTF-8 in a text of it
}

func (n *narrow) charset() Charset {
	if n.old {
		return Windows1252
	}
	return UTF8
}

// Reset is there for transform.Transformer. What was found stays found.
func (n *narrow) Reset() {}

// Transform decodes what it can, as transform.Transformer says.
func (n *narrow) Transform(dst, src []byte, atEOF bool) (written, read int, err error) {
	for read < len(src) {
		c := src[read]
		if c == 0 {
			return written, read, &BinaryError{}
		}
		r, size := rune(c), 1
		switch {
		case c < utf8.RuneSelf:
		case n.old:
			r = charmap.Windows1252.DecodeByte(c)
		default:
			if !atEOF && !utf8.FullRune(src[read:]) {
				return written, read, transform.ErrShortSrc
			}
			if r, size = utf8.DecodeRune(src[read:]); r == utf8.RuneError && size == 1 {
				r = charmap.Windows1252.DecodeByte(c)
			}
		}
		if written+utf8.RuneLen(r) > len(dst) {
			return written, read, transform.ErrShortDst
		}
		if c >= utf8.RuneSelf && !n.old {
			n.see(size)
		}
		written += utf8.EncodeRune(dst[written:], r)
		read += size
	}
	return written, read, nil
}

// see takes note of a character beyond ASCII: a single byte is no UTF-8.
func (n *narrow) see(size int) {
	switch {
	case size > 1:
		n.utf8 = true
	case n.utf8:
		n.stray++
	default:
		n.old = true
	}
}

// noNUL passes text on and refuses NULs in it.
type noNUL struct{ transform.NopResetter }

func (*noNUL) Transform(dst, src []byte, atEOF bool) (written, read int, err error) {
	n := copy(dst, src)
	if i := bytes.IndexByte(src[:n], 0); i >= 0 {
		return i, i, &BinaryError{}
	}
	if n < len(src) {
		return n, n, transform.ErrShortDst
	}
	return n, n, nil
}
