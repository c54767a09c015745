package image

import (
	"bytes"
	"errors"
	"image"
	"image/png"
	"io"
	"strings"

	"golang.org/x/image/tiff"

	"captioner/data/image/bmp"
)

// format is one file format: how it starts, and its two readers. config reads
// no more than the header; decode is called only when the size is within the
// limit. Errors may be of any type; Decode makes them *Error.
type format struct {
	name        string
	match       func(b []byte) bool
	config      func(b []byte) (w, h int, err error)
	decode      func(b []byte, o Options) (*RGB, error)
	orientation func(b []byte) int
}

func formats() []format {
	return []format{
		{"JPEG", prefix("\xff\xd8\xff"), jpegConfig, decodeJPEG, jpegOrientation},
		{"PNG", prefix(pngMagic), pngConfig, decodePNG, pngOrientation},
		{"GIF", prefix("GIF87a", "GIF89a"), gifConfig, decodeGIF, nil},
		{"BMP", bmp.Is, bmp.Size, decodeBMP, nil},
		{"WebP", isWebP, webpConfig, decodeWebP, webpOrientation},
		{"raw", isRaw, rawConfig, decodeRaw, rawOrientation}, // before TIFF, as which most of these begin
		{"TIFF", prefix("II*\x00", "MM\x00*", "II+\x00", "MM\x00+"), tiffConfig, decodeTIFF, exifOrientation},
		{"HEIC", isHEIC, heifConfig, decodeHEIC, nil},
		{"AVIF", isAVIF, heifConfig, decodeAVIF, nil},
	}
}

func prefix(magic ...string) func([]byte) bool {
	return func(b []byte) bool {
		for _, m := range magic {
			if len(b) >= len(m) && string(b[:len(m)]) == m {
				return true
			}
		}
		return false
	}
}

// Format is the name of the format that b begins as, "JPEG" or "PNG"; "" if it is none of the supported ones. 16 bytes
// tell, but for raw files of cameras, most of which begin as TIFF.
func Format(b []byte) string {
	for _, f := range formats() {
		if f.match(b) {
			return f.name
		}
	}
	return ""
}

// Decode decodes the image in b, whatever its format. The result shares no
// memory with b. The error is an *Error.
func Decode(b []byte, o Options) (*RGB, error) {
	if len(b) == 0 {
		return nil, refuse("", ErrEmpty, "0 bytes")
	}
	for _, f := range formats() {
		if !f.match(b) {
			continue
		}
		m, err := f.read(b, o)
		if err != nil {
			return nil, explain(f.name, err)
		}
		return m, nil
	}
	return nil, unknown(b)
}

func (f format) read(b []byte, o Options) (*RGB, error) {
	w, h, err := f.config(b)
	if err != nil {
		return nil, err
	}
	if w <= 0 || h <= 0 {
		return nil, refuse(f.name, ErrCorrupt, "%d x %d pixels", w, h)
	}
	if limit := o.maxPixels(); int64(w) > limit/int64(h) {
		return nil, refuse(f.name, ErrTooLarge, "%d x %d pixels, limit %d", w, h, limit)
	}
	m, err := f.decode(b, o)
	if err != nil || !o.Orient || f.orientation == nil {
		return m, err
	}
	return orient(m, f.orientation(b)), nil
}

// explain makes an *Error of what a reader returned.
func explain(format string, err error) error {
	var e *Error
	if errors.As(err, &e) {
		if e.Format == "" {
			named := *e
			named.Format = format
			return &named
		}
		return e
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return refuse(format, ErrTruncated, "data ends before the image does")
	}
	reason, text := ErrCorrupt, err.Error()
	if isUnsupported(err) {
		reason = ErrUnsupported
	}
	for _, p := range []string{"png: ", "gif: ", "webp: ", "tiff: ", "invalid JPEG format: "} {
		text = strings.TrimPrefix(text, p)
	}
	return refuse(format, reason, "%s", text)
}

// isUnsupported knows the types by which other modules tell what they do not read from what is damaged.
func isUnsupported(err error) bool {
	var (
		inPNG  png.UnsupportedError
		inTIFF tiff.UnsupportedError
		inBMP  bmp.UnsupportedError
	)
	return errors.As(err, &inPNG) || errors.As(err, &inTIFF) || errors.As(err, &inBMP)
}

// unknown names what b is not.
func unknown(b []byte) error {
	const what = "unknown format that starts with %q; supported are JPEG, PNG, GIF, BMP, WebP, TIFF, HEIC and AVIF"
	return refuse("", ErrUnsupported, what, b[:min(len(b), 12)])
}

// size adapts an image.Config to the form of format.config.
func size(c image.Config, err error) (int, int, error) { return c.Width, c.Height, err }

func reader(b []byte) *bytes.Reader { return bytes.NewReader(b) }
