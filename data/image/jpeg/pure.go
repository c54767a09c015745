//go:build !cgo || nolibjpeg

package jpeg

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
)

// Exact reports that the pixels are those of libjpeg and so of Pillow.
const Exact = false

// Version is the version of libjpeg-turbo, which this build does not have.
const Version = 0

// Config reads the header and returns the size in pixels and the number of
// color components (1, 3 or 4).
func Config(b []byte) (w, h, components int, err error) {
	c, err := jpeg.DecodeConfig(bytes.NewReader(b))
	if err != nil {
		return 0, 0, 0, plain(b, err)
	}
	switch c.ColorModel {
	case color.GrayModel:
		components = 1
	case color.CMYKModel:
		components = 4
	default:
		components = 3
	}
	return c.Width, c.Height, components, nil
}

// Decode decodes b to dst, which holds 3*w*h bytes for the size that Config
// gave: rows from the top, R, G, B. Of a file of four components it also returns
// their samples as the file holds them, four bytes a pixel. If the data ends
// early the error is ErrTruncated. The standard library keeps nothing of a
// truncated image, so allowTruncated has no effect in this build.
func Decode(dst, b []byte, allowTruncated bool) (cmyk []byte, err error) {
	m, err := jpeg.Decode(bytes.NewReader(b))
	if err != nil {
		return nil, plain(b, err)
	}
	w, h := m.Bounds().Dx(), m.Bounds().Dy()
	if len(dst) != 3*w*h {
		return nil, fmt.Errorf("buffer of %d bytes for %dx%d pixels, want %d", len(dst), w, h, 3*w*h)
	}
	if m, ok := m.(*image.CMYK); ok {
		cmyk = make([]byte, 0, 4*w*h)
		for y := range h {
			for _, v := range m.Pix[y*m.Stride:][:4*w] {
				cmyk = append(cmyk, 255-v) // the standard library has already undone the inversion of the file
			}
		}
		FromCMYK(dst, cmyk)
		return cmyk, nil
	}
	for y := range h {
		row(dst[3*w*y:3*w*(y+1)], m, y)
	}
	return nil, nil
}

func row(dst []byte, m image.Image, y int) {
	w := len(dst) / 3
	switch m := m.(type) {
	case *image.Gray:
		for x, v := range m.Pix[y*m.Stride:][:w] {
			dst[3*x], dst[3*x+1], dst[3*x+2] = v, v, v
		}
	case *image.YCbCr:
		for x := range w {
			c := m.COffset(x, y)
			r, g, b := color.YCbCrToRGB(m.Y[m.YOffset(x, y)], m.Cb[c], m.Cr[c])
			dst[3*x], dst[3*x+1], dst[3*x+2] = r, g, b
		}
	case *image.RGBA:
		for x := range w {
			copy(dst[3*x:3*x+3], m.Pix[y*m.Stride+4*x:])
		}
	default:
		for x := range w {
			r, g, b, _ := m.At(m.Bounds().Min.X+x, m.Bounds().Min.Y+y).RGBA()
			dst[3*x], dst[3*x+1], dst[3*x+2] = uint8(r>>8), uint8(g>>8), uint8(b>>8)
		}
	}
}

// plain makes a truncation of an error where the data ends. The standard library has no value for data that ends within
// a code: what lacks an end after the last start of a scan is taken for truncated.
func plain(b []byte, err error) error {
	scan := b[max(bytes.LastIndex(b, []byte("\xff\xda")), 0):]
	if unsupported, ok := errors.AsType[jpeg.UnsupportedError](err); ok {
		return &UnsupportedError{string(unsupported)}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || !bytes.Contains(scan, []byte("\xff\xd9")) {
		return ErrTruncated
	}
	return err
}
