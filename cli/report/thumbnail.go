package report

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"html/template"
	stdimage "image"
	"image/jpeg"

	"captioner/data/image"
)

// A thumbnail fits into this many pixels each way: twice what it takes on the page, for sharp screens, and some 20 kB.
const thumbnailSize = 420

// thumbnail makes a data URL of a photograph.
func thumbnail(b []byte) (template.URL, error) {
	o := image.DefaultOptions()
	o.AllowTruncated = true
	m, err := image.Decode(b, o)
	if err != nil {
		return "", err
	}
	small, err := Thumbnail(m)
	if err != nil {
		return "", err
	}
	return template.URL("data:image/jpeg;base64," + base64.StdEncoding.EncodeToString(small)), nil
}

// Thumbnail is a small JPEG of a photograph. It may be called from several goroutines.
func Thumbnail(m *image.RGB) ([]byte, error) {
	if most := max(m.W, m.H); most > thumbnailSize {
		m = image.Resize(m, max(1, m.W*thumbnailSize/most), max(1, m.H*thumbnailSize/most))
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
