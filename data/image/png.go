package image

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image/png"
	"io"
)

const pngMagic = "\x89PNG\r\n\x1a\n"

func pngConfig(b []byte) (int, int, error) { return size(png.DecodeConfig(reader(b))) }

func decodePNG(b []byte, o Options) (*RGB, error) {
	m, err := png.Decode(reader(b))
	if err != nil && o.AllowTruncated && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
		b = completePNG(b)
		m, err = png.Decode(reader(b))
	}
	if err != nil {
		return nil, err
	}
	return fromImage(m), nil
}

// chunks calls yield for each chunk of a PNG file; whole is false for a last
// chunk whose end is missing.
func pngChunks(b []byte, yield func(kind string, data []byte, whole bool) bool) {
	for b = b[min(len(pngMagic), len(b)):]; len(b) >= 8; {
		n := int64(binary.BigEndian.Uint32(b))
		kind, rest := string(b[4:8]), b[8:]
		if int64(len(rest)) < n+4 {
			yield(kind, rest[:min(n, int64(len(rest)))], false)
			return
		}
		if !yield(kind, rest[:n], true) {
			return
		}
		b = rest[n+4:]
	}
}

func pngOrientation(b []byte) int {
	found := 1
	pngChunks(b, func(kind string, data []byte, whole bool) bool {
		if kind == "eXIf" && whole {
			found = exifOrientation(data)
		}
		return kind != "eXIf" && kind != "IEND"
	})
	return found
}

// completePNG returns the truncated PNG file b with the rows that can be read
// and black ones after them, as a file that is whole.
func completePNG(b []byte) []byte {
	var header, packed []byte
	out := []byte(pngMagic)
	pngChunks(b, func(kind string, data []byte, whole bool) bool {
		switch {
		case kind == "IDAT":
			packed = append(packed, data...)
		case kind == "IEND" || !whole:
			return false
		default:
			if kind == "IHDR" {
				header = data
			}
			out = appendChunk(out, kind, data)
		}
		return true
	})
	if len(header) < 13 {
		return b
	}
	total, row := pngBytes(header)
	var pixels []byte
	if z, err := zlib.NewReader(bytes.NewReader(packed)); err == nil {
		// The error at the end of the data is why we are here.
		pixels, _ = io.ReadAll(io.LimitReader(z, total))
	}
	if header[12] == 0 {
		// A row that is not whole is dropped, as Pillow does.
		pixels = pixels[:int64(len(pixels))/row*row]
	}
	pixels = append(pixels, make([]byte, total-int64(len(pixels)))...)
	var z bytes.Buffer
	w, _ := zlib.NewWriterLevel(&z, zlib.BestSpeed)
	w.Write(pixels) // a bytes.Buffer never fails
	w.Close()
	return appendChunk(appendChunk(out, "IDAT", z.Bytes()), "IEND", nil)
}

// pngBytes returns the bytes of all rows of a PNG file and of one of them, each
// with its filter byte. An interlaced file holds seven thinned pictures.
func pngBytes(header []byte) (total, row int64) {
	w, h := int64(binary.BigEndian.Uint32(header)), int64(binary.BigEndian.Uint32(header[4:]))
	bits := map[byte]int64{0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[header[9]] * int64(header[8])
	row = 1 + (w*bits+7)/8
	if header[12] == 0 {
		return h * row, row
	}
	for _, p := range [7]struct{ x, y, dx, dy int64 }{
		{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2},
	} {
		if pw, ph := (w-p.x+p.dx-1)/p.dx, (h-p.y+p.dy-1)/p.dy; pw > 0 && ph > 0 {
			total += ph * (1 + (pw*bits+7)/8)
		}
	}
	return total, row
}

func appendChunk(b []byte, kind string, data []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
	start := len(b)
	b = append(append(b, kind...), data...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[start:]))
}
