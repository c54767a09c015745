package train

import (
	"math/rand/v2"

	"captioner/models/train/features"
)

// views is how many ways of showing each image are cached: the whole, mirrored where Flip is on, and crops.
func (o Options) views() int {
	switch {
	case o.Views > 0:
		return o.Views
	case o.Flip:
		return 2
	}
	return 1
}

// wholes is how many of the views show whole images.
func (o Options) wholes() int {
	if o.Flip {
		return min(2, o.views())
	}
	return 1
}

// view is the k-th way of showing an image. Crops are drawn from the image's id alone, so that runs with other seeds
// share their cache.
func (o Options) view(e example, k int) features.View {
	v := features.View{Example: e.Example, Mirrored: k == 1 && o.Flip}
	if k >= o.wholes() {
		r := numbers(e.ID, uint64(k))
		v.Crop, v.Mirrored = features.RandomCrop(r, o.CropShare), o.Flip && e.flip && r.Uint64()&1 == 1
	}
	return v
}

// draw chooses one of the cached views of an image: not the mirrored one where its captions speak of left or right.
func (o Options) draw(e example, r *rand.Rand) int {
	k := r.IntN(o.views())
	if k == 1 && o.Flip && !e.flip {
		return 0
	}
	return k
}

// fresh draws a way of showing an image that is decoded anew each time.
func (o Options) fresh(e example, r *rand.Rand) features.View {
	mirrored := r.Uint64()&1 == 1 && o.Flip && e.flip
	return features.View{Example: e.Example, Mirrored: mirrored, Crop: features.RandomCrop(r, o.CropShare)}
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
