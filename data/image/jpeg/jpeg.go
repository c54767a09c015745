// Package jpeg decodes JPEG files to packed RGB for package image.
//
// With cgo it is libjpeg-turbo with the settings that Pillow uses (accurate
// integer DCT, smooth chroma upsampling), so the pixels are Pillow's, byte for
// byte. Without cgo, or with the build tag nolibjpeg, it is the standard
// library's decoder, which repeats chroma samples where libjpeg interpolates
// them: pixels then differ by 0.5 on average and by up to 71 at colored edges
// of a 4:2:0 file. Exact tells which one was built.
//
// It refuses files that are neither grey, color nor four-component, and files
// with more scans than any real image has. It never prints.
package jpeg

import "errors"

// ErrTruncated is returned when the data ends before the image does.
var ErrTruncated = errors.New("data ends before the image does")

// UnsupportedError is returned for files that are whole, of a kind that is not read: 12 bits, lossless, two components.
type UnsupportedError struct{ What string }

func (e *UnsupportedError) Error() string { return e.What }

// maxScans bounds the work that a small progressive file can cause.
const maxScans = 1000

// FromCMYK turns inverted CMYK samples, as JPEG files hold them and Decode gives
// them, to RGB with Pillow's rounding: nk - c*nk/255, where nk is what the black
// ink leaves. dst has three bytes a pixel, src four.
func FromCMYK(dst, src []byte) {
	for len(dst) >= 3 && len(src) >= 4 {
		nk := uint32(src[3])
		for c := range 3 {
			t := uint32(255-src[c])*nk + 128
			dst[c] = uint8(nk - (t>>8+t)>>8)
		}
		dst, src = dst[3:], src[4:]
	}
}
