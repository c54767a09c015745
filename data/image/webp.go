package image

import (
	"bytes"
	"encoding/binary"
	"image"

	"golang.org/x/image/webp"
)

func isWebP(b []byte) bool {
	return len(b) >= 12 && string(b[:4]) == "RIFF" && string(b[8:12]) == "WEBP"
}

// webpFrame is the first image of a file and its place on the canvas.
type webpFrame struct {
	file []byte // a file of that image alone
	w, h int    // of the canvas
	x, y int
}

func webpConfig(b []byte) (int, int, error) {
	f, err := firstWebP(b)
	if err != nil || f.w > 0 {
		return f.w, f.h, err
	}
	return size(webp.DecodeConfig(reader(b)))
}

func decodeWebP(b []byte, o Options) (*RGB, error) {
	f, err := firstWebP(b)
	if err != nil {
		return nil, err
	}
	if f.w > 0 {
		// A frame says its own size once more; the canvas must hold it.
		c, err := webp.DecodeConfig(reader(f.file))
		if err != nil {
			return nil, err
		}
		if f.x+c.Width > f.w || f.y+c.Height > f.h {
			return nil, refuse("WebP", ErrCorrupt, "frame of %d x %d at %d, %d is not within the canvas of %d x %d",
				c.Width, c.Height, f.x, f.y, f.w, f.h)
		}
	}
	m, err := webp.Decode(reader(f.file))
	if err != nil {
		return nil, err
	}
	out := fromWebP(m)
	if webpAlpha(b) {
		out.native = alphaOf(m)
	}
	if f.w > 0 && (out.W != f.w || out.H != f.h) {
		return Crop(out, -f.x, -f.y, f.w, f.h), nil
	}
	return out, nil
}

func fromWebP(m image.Image) *RGB {
	switch m := m.(type) {
	case *image.YCbCr:
		return fromYUV(m)
	case *image.NYCbCrA:
		return fromYUV(&m.YCbCr)
	}
	return fromImage(m)
}

// webpAlpha says whether the file has alpha: by the flags of an extended one, or by the header of a lossless image.
func webpAlpha(b []byte) (alpha bool) {
	webpChunks(b, func(kind string, data []byte) bool {
		switch {
		case kind == "VP8X" && len(data) > 0:
			alpha = data[0]&0x10 != 0
		case kind == "VP8L" && len(data) > 4:
			alpha = data[4]&0x10 != 0
		}
		return false
	})
	return alpha
}

// firstWebP finds the first frame of an animated file, which x/image does not
// read; f.w is 0 and f.file is b where the file is not animated.
func firstWebP(b []byte) (f webpFrame, err error) {
	f.file = b
	webpChunks(b, func(kind string, data []byte) bool {
		switch {
		case kind == "VP8X" && len(data) >= 10 && data[0]&2 != 0:
			f.w, f.h = 1+uint24(data[4:]), 1+uint24(data[7:])
		case kind == "ANMF" && f.w > 0 && len(data) >= 16:
			f.x, f.y = 2*uint24(data), 2*uint24(data[3:])
			f.file = stillWebP(data[6:12], data[16:])
			return false
		}
		return true
	})
	if f.w > 0 && len(f.file) == len(b) {
		return f, refuse("WebP", ErrTruncated, "an animation without a whole frame")
	}
	return f, nil
}

// stillWebP makes a file of the chunks of one frame; size is its width and
// height less one, 24 bits each.
func stillWebP(size, chunks []byte) []byte {
	out := []byte("RIFF\x00\x00\x00\x00WEBP")
	if prefix("ALPH")(chunks) {
		out = append(out, "VP8X\x0a\x00\x00\x00\x10\x00\x00\x00"...)
		out = append(out, size...)
	}
	out = append(out, chunks...)
	binary.LittleEndian.PutUint32(out[4:], uint32(len(out)-8))
	return out
}

func uint24(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }

// webpChunks calls yield for each whole chunk of a WebP file.
func webpChunks(b []byte, yield func(kind string, data []byte) bool) {
	for b = b[12:]; len(b) >= 8; {
		kind, n := string(b[:4]), int64(binary.LittleEndian.Uint32(b[4:]))
		if n > int64(len(b)-8) || !yield(kind, b[8:8+n]) {
			return
		}
		b = b[min(8+n+n&1, int64(len(b))):]
	}
}

func webpOrientation(b []byte) int {
	var exif, xmp []byte
	webpChunks(b, func(kind string, data []byte) bool {
		switch kind {
		case "EXIF":
			exif = bytes.TrimPrefix(data, []byte(exifStart)) // some writers keep the start that JPEG needs
		case "XMP ":
			xmp = data
		}
		return true
	})
	return orientationOf(exif, xmp)
}
