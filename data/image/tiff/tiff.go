// Package tiff decodes TIFF files for package image.
//
// With cgo it is libtiff that takes strips and tiles apart, and this package
// that makes pixels of their samples, by the rules of Pillow: the pixels are
// Pillow's, byte for byte. It reads classic and BigTIFF files in strips or tiles, whole or in
// planes, with every compression that libtiff was built with; grey of 1 to 32
// bits and of floating point, palettes, RGB, CMYK and YCbCr, with alpha or other
// samples beside them. Of several images it reads the first.
//
// Without cgo, or with the build tag nolibtiff, it reads nothing: Exact is
// false, and package image reads what golang.org/x/image can.
// The build tag libtiffstatic links libtiff and what it needs into the binary.
//
// It refuses layouts that Pillow refuses, such as RGB of 32 bits, and tiles
// that are far larger than their image. The memory that it takes is bounded by
// the size of the image, which Config tells before any is taken. It never prints.
package tiff

import "errors"

// Reasons for which a file is refused. An error of this package wraps one of them.
var (
	ErrUnsupported = errors.New("unsupported")
	ErrTruncated   = errors.New("truncated")
	ErrCorrupt     = errors.New("corrupt")
)

// Error says why a file was refused.
type Error struct {
	Reason error  // one of the Err values of this package
	Detail string // what was found; one line
}

func (e *Error) Error() string { return e.Reason.Error() + ": " + e.Detail }

// Unwrap lets errors.Is find the reason.
func (e *Error) Unwrap() error { return e.Reason }

// Mode is how the file holds its image, in Pillow's terms.
type Mode int

const (
	RGB     Mode = iota // RGB, or grey of up to 8 bits
	Nearest             // a palette, or one bit: Pillow's P and 1
	Alpha               // Pillow's RGBA and LA; a sample is the alpha
	CMYK                // a sample is four bytes, 255 where there is no ink
	Grey16              // Pillow's I;16; a sample is two bytes, high and low
	Int32               // Pillow's I; a sample is four bytes, little-endian
	Float32             // Pillow's F; a sample is four bytes, little-endian
	YCbCr               // a sample is three bytes
)

// Image is a decoded image as it is stored, not turned by its orientation.
type Image struct {
	W, H    int
	Pix     []byte // red, green, blue of each pixel: 3*W*H bytes
	Mode    Mode
	Samples []byte // what the mode has beside RGB; nil for RGB and Nearest
}
