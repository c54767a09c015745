// Package thumbnail makes small JPEG files of photographs, for pages.
package thumbnail

import (
	"bytes"
	"fmt"
	stdimage "image"
	"image/jpeg"

	"captioner/data/image"
)

// Size is how many pixels a photograph on a page takes each way: twice what is shown, for sharp screens. It is some
// 20 kB.
const Size = 420

// Of decodes an encoded photograph, turned as it says, and makes a JPEG of it that fits into size pixels each way. Of a
// file that is cut off it takes what is there. A photograph of more than maxPixels is refused; 0 is the usual limit.
func Of(b []byte, size int, maxPixels int64) ([]byte, error) {
	m, err := image.Decode(b, image.Options{Orient: true, MaxPixels: maxPixels, AllowTruncated: true})
	if err != nil {
		return nil, err
	}
	return JPEG(m, size)
}

// JPEG makes a JPEG of a photograph that fits into size pixels each way. It may be called from several goroutines.
func JPEG(m *image.RGB, size int) ([]byte, error) {
	if most := max(m.W, m.H); most > size {
		m = image.Resize(m, max(1, m.W*size/most), max(1, m.H*size/most))
	}
	out := stdimage.NewRGBA(stdimage.Rect(0, 0, m.W, m.H))
	for i := range m.W * m.H {
		copy(out.Pix[4*i:], m.Pix[3*i:3*i+3])
		out.Pix[4*i+3] = 255
	}
	var s bytes.Buffer
	if err := jpeg.Encode(&s, out, &jpeg.Options{Quality: 78}); err != nil {
		return nil, fmt.Errorf("encode the thumbnail: %w", err)
	}
	return s.Bytes(), nil
}
