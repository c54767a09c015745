package image

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/png"
	"io"
)

const pngMagic = "\x89PNG\r\n\x1a\n"

func pngConfig(b []byte) (int, int, error) { return size(png.DecodeConfig(reader(b))) }

func decodePNG(b []byte, o Options) (*RGB, error) {
	b = mendPNG(b, o.AllowTruncated)
	m, err := png.Decode(reader(b))
	if err != nil && !endsPNG(b) {
		// Only the image must be whole: what ends a file may be missing.
		completed, whole := completePNG(b)
		if !whole && !o.AllowTruncated {
			return nil, refuse("PNG", ErrTruncated, "data ends before the image does")
		}
		m, err = png.Decode(reader(completed))
	}
	if err != nil {
		return nil, err
	}
	out := fromImage(m)
	out.native = pngNative(b, m)
	return out, nil
}

// pngNative is how the file b holds m. Its header tells: a color that is transparent is no alpha to Pillow, but is to
// the standard library.
func pngNative(b []byte, m image.Image) native {
	const grey, palette, greyAlpha, colorAlpha = 0, 3, 4, 6
	switch depth, kind := b[24], b[25]; {
	case kind == palette, kind == grey && depth == 1:
		return native{mode: modeNearest}
	case kind == grey && depth == 16:
		return grey16Of(m)
	case kind == greyAlpha, kind == colorAlpha:
		return alphaOf(m)
	}
	return native{}
}

// endsPNG reports whether b has the chunk that ends a PNG file.
func endsPNG(b []byte) (ends bool) {
	pngChunks(b, func(kind string, _ []byte, whole bool) bool {
		ends = kind == "IEND" && whole
		return !ends
	})
	return ends
}

// pngChunks calls yield for each chunk of a PNG file; whole is false for a last
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

// pngOrientation finds the orientation in the chunk for EXIF, in the text that held it before there was one, or in XMP.
func pngOrientation(b []byte) int {
	var exif, profile, xmp []byte
	pngChunks(b, func(kind string, data []byte, whole bool) bool {
		if kind == "eXIf" && whole {
			exif = bytes.TrimPrefix(data, []byte(exifStart))
		}
		if keyword, text, ok := pngText(kind, data); ok && whole {
			switch keyword {
			case pngRawEXIF:
				profile = rawProfile(text)
			case pngXMP:
				xmp = text
			}
		}
		return kind != "IEND"
	})
	if exif == nil {
		exif = profile
	}
	return orientationOf(exif, xmp)
}

// completePNG returns the truncated PNG file b with the rows that can be read
// and black ones after them, as a file that is whole. The image was whole if
// only what follows it is missing.
func completePNG(b []byte) (completed []byte, whole bool) {
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
		return b, false
	}
	total, _ := pngBytes(header, 0)
	var pixels []byte
	if z, err := zlib.NewReader(bytes.NewReader(packed)); err == nil {
		// The error at the end of the data is why we are here.
		pixels, _ = io.ReadAll(io.LimitReader(z, total))
	}
	_, kept := pngBytes(header, int64(len(pixels)))
	whole = kept == total
	pixels = append(pixels[:kept], make([]byte, total-kept)...)
	var z bytes.Buffer
	w, _ := zlib.NewWriterLevel(&z, zlib.BestSpeed)
	w.Write(pixels) // a bytes.Buffer never fails
	w.Close()
	return appendChunk(appendChunk(out, "IDAT", z.Bytes()), "IEND", nil), whole
}

// pngBytes returns the bytes of all rows of a PNG file, each with its filter
// byte, and how many of them are whole rows when only have bytes are there: a
// row that is not whole is dropped, as Pillow does. An interlaced file holds
// seven thinned images after each other.
func pngBytes(header []byte, have int64) (total, kept int64) {
	w, h := int64(binary.BigEndian.Uint32(header)), int64(binary.BigEndian.Uint32(header[4:]))
	bits := map[byte]int64{0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[header[9]] * int64(header[8])
	type pass struct{ x, y, dx, dy int64 }
	passes := []pass{{0, 0, 1, 1}}
	if header[12] != 0 {
		passes = []pass{{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}}
	}
	for _, p := range passes {
		pw, ph := (w-p.x+p.dx-1)/p.dx, (h-p.y+p.dy-1)/p.dy
		if pw <= 0 || ph <= 0 {
			continue
		}
		row := 1 + (pw*bits+7)/8
		kept += min(max(have-total, 0)/row, ph) * row
		total += ph * row
	}
	return total, kept
}

// mendPNG gives the chunks right checksums that Pillow does not look at: those of the pixels and of all that follows
// them, and with lenient those of the chunks before them that a reader may leave out. It leaves b as it is.
func mendPNG(b []byte, lenient bool) []byte {
	mended, copied, pixels := b, false, false
	at := len(pngMagic)
	pngChunks(b, func(kind string, data []byte, whole bool) bool {
		pixels = pixels || kind == "IDAT"
		optional := kind[0]&0x20 != 0
		end := at + 8 + len(data)
		if whole && (pixels || lenient && optional) {
			if sum := crc32.ChecksumIEEE(b[at+4 : end]); sum != binary.BigEndian.Uint32(b[end:]) {
				if !copied {
					mended, copied = bytes.Clone(b), true
				}
				binary.BigEndian.PutUint32(mended[end:], sum)
			}
		}
		at = end + 4
		return true
	})
	return mended
}

func appendChunk(b []byte, kind string, data []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
	start := len(b)
	b = append(append(b, kind...), data...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[start:]))
}
