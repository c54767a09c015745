package train

import (
	"math/rand/v2"

	"captioner/models/train/features"
)

// views is how many ways of showing each image are cached: the whole, mirrored where Flip is on, and crops.
func (j *job) views() int {
	switch {
	case j.Views > 0:
		return j.Views
	case j.Flip:
		return 2
	}
	return 1
}

// wholes is how many of the views show whole images.
func (j *job) wholes() int {
	if j.Flip {
		return min(2, j.views())
	}
	return 1
}

// view is the k-th way of showing an image. Crops are drawn from the image's id alone, so that runs with other seeds
// share their cache.
func (j *job) view(e example, k int) features.View {
	v := features.View{Example: e.Example, Mirrored: k == 1 && j.Flip}
	if k >= j.wholes() {
		r := numbers(e.ID, uint64(k))
		v.Crop, v.Mirrored = features.RandomCrop(r, j.CropShare), j.Flip && e.flip && r.Uint64()&1 == 1
	}
	return v
}

// draw chooses one of the cached views of an image: not the mirrored one where its captions speak of left or right.
func (j *job) draw(e example, r *rand.Rand) int {
	k := r.IntN(j.views())
	if k == 1 && j.Flip && !e.flip {
		return 0
	}
	return k
}

// fresh draws a way of showing an image that is decoded anew each time.
func (j *job) fresh(e example, r *rand.Rand) features.View {
	mirrored := r.Uint64()&1 == 1 && j.Flip && e.flip
	return features.View{Example: e.Example, Mirrored: mirrored, Crop: features.RandomCrop(r, j.CropShare)}
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
