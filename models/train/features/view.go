package features

import (
	"fmt"
	"math"
	"math/rand/v2"

	"captioner/data"
	"captioner/data/image"
)

// View is an image and the way in which it is shown to the encoder.
type View struct {
	data.Example
	Mirrored bool // left and right change places
	Crop     *Box // nil: the whole image
}

// Box is a part of an image, as shares of its width and height.
type Box struct{ X, Y, W, H float64 }

// mark names the way in a cache file's name; "" is the whole image as it is.
func (v View) mark() string {
	if v.Crop == nil && !v.Mirrored {
		return ""
	}
	return fmt.Sprintf("%v %v", v.Mirrored, v.Crop)
}

// prepare brings the image to what the encoder takes. A part of it is scaled to the whole square, whatever its shape.
func (v View) prepare(p image.Preprocess) ([]byte, error) {
	b, err := v.Bytes()
	if err != nil {
		return nil, err
	}
	img, err := image.Decode(b, image.DefaultOptions())
	if err != nil {
		return nil, fmt.Errorf("decode %q: %w", v.Name(), err)
	}
	if c := v.Crop; c != nil {
		w, h := max(1, int(c.W*float64(img.W))), max(1, int(c.H*float64(img.H)))
		img = image.Crop(img, min(int(c.X*float64(img.W)), img.W-w), min(int(c.Y*float64(img.H)), img.H-h), w, h)
		p.Fit, p.Resize = image.FitSquash, 0
	}
	img = p.Apply(img)
	if v.Mirrored {
		mirror(img)
	}
	return img.Pix, nil
}

// mirror turns left into right, in place.
func mirror(img *image.RGB) {
	for y := range img.H {
		row := img.Pix[y*img.W*3 : (y+1)*img.W*3]
		for a, b := 0, len(row)-3; a < b; a, b = a+3, b-3 {
			for c := range 3 {
				row[a+c], row[b+c] = row[b+c], row[a+c]
			}
		}
	}
}

// RandomCrop draws a part of an image (Szegedy et al. 2015, §6): at least the given share of its area, from 3:4 to 4:3
// of its own shape.
func RandomCrop(r *rand.Rand, share float64) *Box {
	area := share + (1-share)*r.Float64()
	shape := math.Exp((2*r.Float64() - 1) * math.Log(4./3) / 2)
	w, h := math.Min(1, math.Sqrt(area)*shape), math.Min(1, math.Sqrt(area)/shape)
	return &Box{X: r.Float64() * (1 - w), Y: r.Float64() * (1 - h), W: w, H: h}
}
