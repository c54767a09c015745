package metadata

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
)

// Flags of the chunk that begins an extended WebP file.
const (
	webpHasXMP   = 0x04
	webpHasAlpha = 0x10
)

// webpFile is a WebP file as chunks; rest is what stands behind its RIFF.
type webpFile struct {
	chunks []riffChunk
	rest   []byte
}

// riffChunk is one chunk; raw is all of it, with padding.
type riffChunk struct {
	kind      string
	raw, data []byte
}

var errTruncatedWebP = errors.New("metadata: the WebP file ends before its image does")

func openWebP(b []byte) (container, error) {
	size := int64(binary.LittleEndian.Uint32(b[4:])) + 8
	if size > int64(len(b)) {
		return nil, errTruncatedWebP
	}
	w := &webpFile{rest: b[size:]}
	for b = b[12:size]; len(b) > 0; {
		if len(b) < 8 {
			return nil, errors.New("metadata: the WebP file is damaged behind its image")
		}
		n := int64(binary.LittleEndian.Uint32(b[4:]))
		if n > int64(len(b)-8) {
			return nil, errTruncatedWebP
		}
		end := min(8+n+n%2, int64(len(b)))
		w.chunks = append(w.chunks, riffChunk{string(b[:4]), b[:end], b[8 : 8+n]})
		b = b[end:]
	}
	switch {
	case len(w.chunks) == 0:
		return nil, errTruncatedWebP
	case w.chunks[0].kind == "VP8X" && len(w.chunks[0].data) >= 10:
	case w.chunks[0].kind == "VP8 " || w.chunks[0].kind == "VP8L":
		if _, err := w.header(); err != nil {
			return nil, err
		}
	default:
		return nil, errors.New("metadata: the WebP file does not begin with an image")
	}
	return w, nil
}

func (w *webpFile) find(kind string) int {
	return slices.IndexFunc(w.chunks, func(c riffChunk) bool { return c.kind == kind })
}

func (w *webpFile) blocks() (b blocks) {
	if at := w.find("XMP "); at >= 0 {
		b.xmp = w.chunks[at].data
	}
	if at := w.find("EXIF"); at >= 0 {
		b.exif = bytes.TrimPrefix(w.chunks[at].data, []byte(exifStart))
	}
	return b
}

// header is the chunk that begins an extended file, of an image that has none.
func (w *webpFile) header() (riffChunk, error) {
	b := w.chunks[0].data
	var width, height uint32
	var flags byte
	switch {
	case w.chunks[0].kind == "VP8 " && len(b) >= 10 && bytes.Equal(b[3:6], []byte{0x9d, 0x01, 0x2a}):
		width = uint32(binary.LittleEndian.Uint16(b[6:]) & 0x3fff)
		height = uint32(binary.LittleEndian.Uint16(b[8:]) & 0x3fff)
	case w.chunks[0].kind == "VP8L" && len(b) >= 5 && b[0] == 0x2f:
		v := binary.LittleEndian.Uint32(b[1:])
		width, height = v&0x3fff+1, v>>14&0x3fff+1
		if v>>28&1 != 0 {
			flags = webpHasAlpha
		}
	}
	if width == 0 || height == 0 {
		return riffChunk{}, errors.New("metadata: the WebP file's image is damaged")
	}
	data := []byte{flags, 0, 0, 0}
	for _, v := range []uint32{width - 1, height - 1} {
		data = append(data, byte(v), byte(v>>8), byte(v>>16))
	}
	return newRIFF("VP8X", data), nil
}

func (w *webpFile) replace(b blocks) ([]byte, error) {
	chunks := slices.Clone(w.chunks)
	if b.exif != nil {
		chunks[w.find("EXIF")] = newRIFF("EXIF", b.exif)
	}
	if b.xmp != nil {
		if at := w.find("XMP "); at >= 0 {
			chunks[at] = newRIFF("XMP ", b.xmp)
		} else {
			chunks = append(chunks, newRIFF("XMP ", b.xmp))
		}
	}
	if chunks[0].kind != "VP8X" {
		head, err := w.header()
		if err != nil {
			return nil, err
		}
		chunks = slices.Insert(chunks, 0, head)
	}
	head := slices.Clone(chunks[0].data)
	head[0] |= webpHasXMP
	chunks[0] = newRIFF("VP8X", head)
	out := []byte("RIFF\x00\x00\x00\x00WEBP")
	for _, c := range chunks {
		if out = append(out, c.raw...); len(c.raw)%2 != 0 { // a last chunk without its padding
			out = append(out, 0)
		}
	}
	if int64(len(out)) > 1<<32-2 {
		return nil, errors.New("metadata: the WebP file would be too long")
	}
	binary.LittleEndian.PutUint32(out[4:], uint32(len(out)-8))
	return append(out, w.rest...), nil
}

func newRIFF(kind string, data []byte) riffChunk {
	raw := binary.LittleEndian.AppendUint32([]byte(kind), uint32(len(data)))
	raw = append(raw, data...)
	if len(data)%2 != 0 {
		raw = append(raw, 0)
	}
	return riffChunk{kind, raw, raw[8 : 8+len(data)]}
}
