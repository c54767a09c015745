package image

import (
	"bytes"
	"compress/zlib"
	"encoding/hex"
	"io"
)

// maxPNGText is how much of a compressed text is read: as much as Pillow allows.
const maxPNGText = 1 << 20

// Keywords of texts that hold an orientation.
const (
	pngRawEXIF = "Raw profile type exif" // ImageMagick's, from before PNG had a chunk for EXIF
	pngXMP     = "XML:com.adobe.xmp"
)

// pngText reads a chunk of text, tEXt, zTXt or iTXt; ok is false where it is damaged.
func pngText(kind string, data []byte) (keyword string, text []byte, ok bool) {
	key, rest, ok := bytes.Cut(data, []byte{0})
	if !ok {
		return "", nil, false
	}
	switch kind {
	case "tEXt":
		return string(key), rest, true
	case "zTXt":
		if len(rest) < 1 || rest[0] != 0 {
			return "", nil, false
		}
		text, ok = inflate(rest[1:])
		return string(key), text, ok
	case "iTXt":
		if len(rest) < 2 {
			return "", nil, false
		}
		compressed := rest[0] != 0
		_, rest, ok1 := bytes.Cut(rest[2:], []byte{0}) // the language
		_, text, ok2 := bytes.Cut(rest, []byte{0})     // the keyword in that language
		if !ok1 || !ok2 {
			return "", nil, false
		}
		if compressed {
			text, ok = inflate(text)
			return string(key), text, ok
		}
		return string(key), text, true
	}
	return "", nil, false
}

func inflate(b []byte) ([]byte, bool) {
	z, err := zlib.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, false
	}
	text, err := io.ReadAll(io.LimitReader(z, maxPNGText+1))
	return text, err == nil && len(text) <= maxPNGText
}

// rawProfile reads the bytes of a raw profile: a line that is empty, its name, its length, and then hexadecimal digits.
func rawProfile(text []byte) []byte {
	lines := bytes.SplitN(text, []byte{'\n'}, 4)
	if len(lines) < 4 {
		return nil
	}
	digits := bytes.Join(bytes.Fields(lines[3]), nil)
	out := make([]byte, hex.DecodedLen(len(digits)))
	n, err := hex.Decode(out, digits)
	if err != nil {
		return nil
	}
	return bytes.TrimPrefix(out[:n], []byte(exifStart))
}
