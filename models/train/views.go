package train

import (
	"fmt"
	"math"
	"math/rand/v2"

	"captioner/data"
	"captioner/data/image"
)

// shown is a picture and the way in which it is shown to the encoder.
type shown struct {
	data.Example
	mirrored bool
	crop     *box // nil: the whole picture
}

// box is a part of a picture, as shares of its width and height.
type box struct{ X, Y, W, H float64 }

// mark names the way in a cache file's name; "" is the whole picture as it is.
func (s shown) mark() string {
	if s.crop == nil && !s.mirrored {
		return ""
	}
	return fmt.Sprintf("%v %v", s.mirrored, s.crop)
}

// prepare brings the picture to what the encoder takes. A part of it is scaled to the whole square, whatever its shape.
func (s shown) prepare(p image.Preprocess) ([]byte, error) {
	b, err := s.Bytes()
	if err != nil {
		return nil, err
	}
	img, err := image.Decode(b, image.DefaultOptions())
	if err != nil {
		return nil, fmt.Errorf("decode %q: %w", s.Name(), err)
	}
	if c := s.crop; c != nil {
		w, h := max(1, int(c.W*float64(img.W))), max(1, int(c.H*float64(img.H)))
		img = image.Crop(img, min(int(c.X*float64(img.W)), img.W-w), min(int(c.Y*float64(img.H)), img.H-h), w, h)
		p.Fit = image.FitSquash
	}
	img = p.Apply(img)
	if s.mirrored {
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

// crop draws a part of a picture (Szegedy et al. 2015, §6): at least the given share of its area, from 3:4 to 4:3 of its own shape.
func crop(r *rand.Rand, share float64) *box {
	area := share + (1-share)*r.Float64()
	shape := math.Exp((2*r.Float64() - 1) * math.Log(4./3) / 2)
	w, h := math.Min(1, math.Sqrt(area)*shape), math.Min(1, math.Sqrt(area)/shape)
	return &box{X: r.Float64() * (1 - w), Y: r.Float64() * (1 - h), W: w, H: h}
}

// views is how many ways of showing each picture are cached: the whole, mirrored where Flip is on, and crops.
func (o Options) views() int {
	switch {
	case o.Views > 0:
		return o.Views
	case o.Flip:
		return 2
	}
	return 1
}

// wholes is how many of the views show whole pictures.
func (o Options) wholes() int {
	if o.Flip {
		return min(2, o.views())
	}
	return 1
}

// view is the k-th way of showing a picture. Crops are drawn from the picture's id alone, so that runs with other seeds share their cache.
func (o Options) view(e example, k int) shown {
	s := shown{Example: e.Example, mirrored: k == 1 && o.Flip}
	if k >= o.wholes() {
		r := numbers(e.ID, uint64(k))
		s.crop, s.mirrored = crop(r, o.CropShare), o.Flip && e.flip && r.Uint64()&1 == 1
	}
	return s
}

// draw chooses one of the cached views of a picture: not the mirrored one where its captions speak of left or right.
func (o Options) draw(e example, r *rand.Rand) int {
	k := r.IntN(o.views())
	if k == 1 && o.Flip && !e.flip {
		return 0
	}
	return k
}

// fresh draws a way of showing a picture that is decoded anew each time.
func (o Options) fresh(e example, r *rand.Rand) shown {
	mirrored := r.Uint64()&1 == 1 && o.Flip && e.flip
	return shown{Example: e.Example, mirrored: mirrored, crop: crop(r, o.CropShare)}
}

// numbers gives the random numbers of a purpose, always the same.
func numbers(purpose string, n uint64) *rand.Rand { return rand.New(rand.NewPCG(hash(purpose), n)) }

// hash is FNV-1a.
func hash(s string) uint64 {
	var h uint64 = 14695981039346656037
	for _, b := range []byte(s) {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return h
}
