package text

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Document is a whole text, and can be added to without changing a byte of it.
type Document struct {
	Text     string // as UTF-8, without a byte order mark
	Encoding Encoding

	written []byte // the text as it was found
}

// Parse reads a whole text. The bytes must not change while the document is used.
func Parse(b []byte) (*Document, error) {
	r := NewReader(bytes.NewReader(b))
	decoded, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	return &Document{Text: string(decoded), Encoding: r.Encoding(), written: b}, nil
}

// LineEnd is how the lines of the text end: "\r\n" where its first line does, else "\n".
func (d *Document) LineEnd() string {
	if i := strings.IndexByte(d.Text, '\n'); i > 0 && d.Text[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// Append returns the bytes of the text with lines behind it, in its encoding and with its line ends. A last line
// without an end gets one, and empty lines at the end go. An empty document gives the lines as UTF-8.
func (d *Document) Append(lines ...string) ([]byte, error) {
	if n := d.Encoding.Charset.unit(); len(d.written)%n != 0 {
		return nil, fmt.Errorf("found %d bytes of %s, want a multiple of %d", len(d.written), d.Encoding.Charset, n)
	}
	added, err := d.encode(lines)
	if err != nil {
		return nil, err
	}
	end, err := d.Encoding.Encode(d.LineEnd())
	if err != nil {
		return nil, err
	}
	kept := d.written
	rest := d.Text
	for strings.HasSuffix(rest, "\n") { // each is encoded as end, or without its "\r"
		shorter := strings.TrimSuffix(strings.TrimSuffix(rest, "\n"), "\r")
		removed, err := d.Encoding.Encode(rest[len(shorter):])
		if err != nil {
			return nil, err
		}
		kept, rest = bytes.TrimSuffix(kept, removed), shorter
	}
	if rest == "" {
		return slices.Concat(kept, added), nil
	}
	return slices.Concat(kept, end, added), nil
}

// Prepend returns the bytes of the text with lines before it, in its encoding and with its line ends. A byte order mark
// stays at the beginning.
func (d *Document) Prepend(lines ...string) ([]byte, error) {
	added, err := d.encode(lines)
	if err != nil {
		return nil, err
	}
	mark := d.mark()
	return slices.Concat(mark, added, d.written[len(mark):]), nil
}

// Replace returns the bytes of another text in the encoding of the document: with its byte order mark, its line ends,
// and an end of the last line where the document has one. The text's own lines end with "\n". An empty document gives
// UTF-8 with an end of the last line.
func (d *Document) Replace(s string) ([]byte, error) {
	if s != "" && (d.Text == "" || strings.HasSuffix(d.Text, "\n")) {
		s += "\n"
	}
	b, err := d.Encoding.Encode(strings.ReplaceAll(s, "\n", d.LineEnd()))
	if err != nil {
		return nil, err
	}
	return slices.Concat(d.mark(), b), nil
}

// mark is the byte order mark of the document, or nothing.
func (d *Document) mark() []byte {
	for _, m := range marks {
		if d.Encoding.Mark && m.charset == d.Encoding.Charset {
			return d.written[:len(m.bytes)]
		}
	}
	return nil
}

func (d *Document) encode(lines []string) ([]byte, error) {
	end := d.LineEnd()
	return d.Encoding.Encode(strings.Join(lines, end) + end)
}
