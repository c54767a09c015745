package features

import (
	"math/rand/v2"

	"captioner/data"
)

// Showing is the ways in which the images of a training are shown.
type Showing struct {
	Views     int     // cached ones: the whole, mirrored with Flip, then crops; 0 is without crops
	Flip      bool    // half of the images are mirrored, but those whose captions speak of left or right
	CropShare float64 // of an image's area that a crop shows at least
}

// Count is how many ways are cached.
func (s Showing) Count() int {
	switch {
	case s.Views > 0:
		return s.Views
	case s.Flip:
		return 2
	}
	return 1
}

// wholes is how many of the views show whole images.
func (s Showing) wholes() int {
	if s.Flip {
		return min(2, s.Count())
	}
	return 1
}

// View is the k-th way of showing an image, which may be mirrored or not. Crops are drawn from the image's id alone, so
// that runs with other seeds share their cache.
func (s Showing) View(e data.Example, mirror bool, k int) View {
	v := View{Example: e, Mirrored: k == 1 && s.Flip}
	if k >= s.wholes() {
		r := rand.New(rand.NewPCG(Hash(e.ID), uint64(k)))
		v.Crop, v.Mirrored = RandomCrop(r, s.CropShare), s.Flip && mirror && r.Uint64()&1 == 1
	}
	return v
}

// Draw chooses one of the cached views of an image: not the mirrored one where it may not be mirrored.
func (s Showing) Draw(mirror bool, r *rand.Rand) int {
	k := r.IntN(s.Count())
	if k == 1 && s.Flip && !mirror {
		return 0
	}
	return k
}

// Fresh draws a way of showing an image that is decoded anew each time.
func (s Showing) Fresh(e data.Example, mirror bool, r *rand.Rand) View {
	mirrored := r.Uint64()&1 == 1 && s.Flip && mirror
	return View{Example: e, Mirrored: mirrored, Crop: RandomCrop(r, s.CropShare)}
}

// Hash is FNV-1a.
func Hash(s string) uint64 {
	var h uint64 = 14695981039346656037
	for _, b := range []byte(s) {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return h
}
