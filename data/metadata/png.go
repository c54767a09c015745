package metadata

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"

	"captioner/data/metadata/xmp"
)

const pngMagic = "\x89PNG\r\n\x1a\n"

// Keywords of texts in PNG files.
const (
	pngXMP         = "XML:com.adobe.xmp"
	pngDescription = "Description"
)

// pngFile is a PNG file as chunks; rest is what stands behind them.
type pngFile struct {
	chunks []chunk
	rest   []byte
}

// chunk is one chunk; raw is all of it.
type chunk struct {
	kind      string
	raw, data []byte
}

func openPNG(b []byte) (container, error) {
	p := new(pngFile)
	pixels := false
	for i := len(pngMagic); ; {
		if len(b)-i < 12 {
			return nil, errors.New("metadata: the PNG file ends before its image does")
		}
		n := int64(binary.BigEndian.Uint32(b[i:]))
		if n > int64(len(b)-i-12) {
			return nil, errors.New("metadata: the PNG file ends before its image does")
		}
		end := i + 12 + int(n)
		c := chunk{string(b[i+4 : i+8]), b[i:end], b[i+8 : end-4]}
		if crc32.ChecksumIEEE(b[i+4:end-4]) != binary.BigEndian.Uint32(b[end-4:]) {
			return nil, fmt.Errorf("metadata: the chunk %q of the PNG file has a wrong checksum", c.kind)
		}
		if (len(p.chunks) == 0) != (c.kind == "IHDR") || c.kind == "IHDR" && n != 13 {
			return nil, fmt.Errorf("metadata: found the chunk %q where the PNG file has no place for it", c.kind)
		}
		pixels = pixels || c.kind == "IDAT"
		p.chunks = append(p.chunks, c)
		if i = end; c.kind == "IEND" {
			p.rest = b[end:]
			break
		}
	}
	if !pixels {
		return nil, errors.New("metadata: the PNG file has no image")
	}
	return p, nil
}

// find finds the first text of a keyword; -1 for none.
func (p *pngFile) find(keyword string) (at int, value string) {
	for i, c := range p.chunks {
		if key, text, ok := c.text(); ok && key == keyword {
			return i, text
		}
	}
	return -1, ""
}

func (p *pngFile) exif() int {
	return slices.IndexFunc(p.chunks, func(c chunk) bool { return c.kind == "eXIf" })
}

func (p *pngFile) blocks() (b blocks) {
	if at, packet := p.find(pngXMP); at >= 0 {
		b.xmp = []byte(packet)
	}
	if _, s := p.find(pngDescription); s != "" {
		b.comment = strings.TrimSpace(s)
	}
	if at := p.exif(); at >= 0 {
		b.exif = bytes.TrimPrefix(p.chunks[at].data, []byte(exifStart))
	}
	return b
}

func (p *pngFile) replace(b blocks) ([]byte, error) {
	chunks := slices.Clone(p.chunks)
	if b.exif != nil {
		chunks[p.exif()] = newChunk("eXIf", b.exif)
	}
	if b.comment != "" {
		at, _ := p.find(pngDescription)
		chunks[at] = newChunk("iTXt", []byte(pngDescription+"\x00\x00\x00\x00\x00"+strings.ReplaceAll(b.comment, "\x00", "")))
	}
	if b.xmp != nil {
		c := newChunk("iTXt", append([]byte(pngXMP+"\x00\x00\x00\x00\x00"), b.xmp...))
		if at, _ := p.find(pngXMP); at >= 0 {
			chunks[at] = c
		} else {
			chunks = slices.Insert(chunks, 1, c) // behind the header: programs look for it before the image
		}
	}
	out := []byte(pngMagic)
	for _, c := range chunks {
		out = append(out, c.raw...)
	}
	return append(out, p.rest...), nil
}

func newChunk(kind string, data []byte) chunk {
	raw := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	raw = append(append(raw, kind...), data...)
	raw = binary.BigEndian.AppendUint32(raw, crc32.ChecksumIEEE(raw[4:]))
	return chunk{kind, raw, raw[8 : len(raw)-4]}
}

// text reads a chunk of text: tEXt, zTXt or iTXt.
func (c chunk) text() (keyword, value string, ok bool) {
	key, rest, ok := bytes.Cut(c.data, []byte{0})
	if !ok {
		return "", "", false
	}
	switch c.kind {
	case "tEXt":
		return string(key), latin1(rest), true
	case "zTXt":
		if len(rest) < 1 || rest[0] != 0 {
			return "", "", false
		}
		b, ok := inflate(rest[1:])
		return string(key), latin1(b), ok
	case "iTXt":
		if len(rest) < 2 {
			return "", "", false
		}
		compressed := rest[0] != 0
		_, rest, ok1 := bytes.Cut(rest[2:], []byte{0}) // the language
		_, rest, ok2 := bytes.Cut(rest, []byte{0})     // the keyword in that language
		if ok = ok1 && ok2; ok && compressed {
			rest, ok = inflate(rest)
		}
		return string(key), string(rest), ok
	}
	return "", "", false
}

// latin1 is a text of PNG's own charset.
func latin1(b []byte) string {
	r := make([]rune, len(b))
	for i, c := range b {
		r[i] = rune(c)
	}
	return string(r)
}

func inflate(b []byte) ([]byte, bool) {
	z, err := zlib.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, false
	}
	out, err := io.ReadAll(io.LimitReader(z, xmp.MaxBytes+1))
	return out, err == nil && len(out) <= xmp.MaxBytes
}
