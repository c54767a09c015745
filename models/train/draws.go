package train

import (
	"cmp"
	"math/rand/v2"
	"slices"

	"captioner/models/train/features"
)

// draws are what a phase draws at random. All follows from the seed, the phase and the number of the batch, so that a
// run that is resumed draws the same.
type draws struct {
	seed   int64
	phase  int // its number
	images int
	epoch  int // that order is of
	order  []int
}

// random gives the numbers of one purpose, the same whenever the run gets there.
func (d *draws) random(purpose string, n int) *rand.Rand {
	return rand.New(rand.NewPCG(uint64(d.seed), features.Hash(purpose)+uint64(d.phase)<<48+uint64(n)))
}

// pick draws the images of batch i when n of them make a batch.
func (d *draws) pick(i, n int) []int {
	n = min(n, d.images)
	per := d.images / n
	if e := i / per; e != d.epoch {
		d.epoch, d.order = e, d.random("order", e).Perm(d.images)
	}
	at := i % per * n
	return d.order[at : at+n]
}

// bucket makes count batches of n lines of like length, in random order.
func (d *draws) bucket(lines [][]int32, n, count, epoch int) [][]int {
	r := d.random("bucket", epoch)
	var out [][]int
	for chunk := range slices.Chunk(r.Perm(len(lines)), n*40) {
		slices.SortStableFunc(chunk, func(a, b int) int { return cmp.Compare(len(lines[a]), len(lines[b])) })
		for len(chunk) >= n {
			out, chunk = append(out, chunk[:n]), chunk[n:]
		}
	}
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out[:count]
}
