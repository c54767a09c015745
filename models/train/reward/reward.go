// Package reward scores the captions that self-critical training draws, while it learns.
package reward

import (
	"captioner/data/metrics"
	"captioner/data/metrics/ptb"
)

// Scorer scores drawn captions by CIDEr-D over words, as evaluation counts them. The end of a caption counts as a
// word: without it, captions that break off before a noun would score well (the sacreEOS trap, Jia et al. 2020).
type Scorer struct {
	cider *metrics.CIDErD
	refs  [][][]int32 // of each image, with their ends
	bleu  float64     // weight of BLEU-4 beside CIDEr-D
	words map[string]int32
}

// endWord is the id of the end; words are numbered from 1.
const endWord = 0

// New makes a scorer from the reference captions of each image. The score of BLEU-4 counts bleu times beside CIDEr-D.
func New(captions [][]string, bleu float64) (*Scorer, error) {
	r := &Scorer{words: map[string]int32{}, bleu: bleu}
	refs := make([][][]int32, len(captions))
	for i, references := range captions {
		for _, s := range references {
			refs[i] = append(refs[i], append(r.ids(s), endWord))
		}
	}
	r.refs = refs
	var err error
	r.cider, err = metrics.NewCIDErD(refs, metrics.DefaultCIDErDOptions())
	return r, err
}

// ids numbers the words of a caption; new ones get new numbers.
func (r *Scorer) ids(caption string) []int32 {
	var out []int32
	for _, w := range ptb.Tokenize(caption) {
		id, ok := r.words[w]
		if !ok {
			id = int32(len(r.words) + 1)
			r.words[w] = id
		}
		out = append(out, id)
	}
	return out
}

// Score is the CIDEr-D of a caption of image i, 0 to 10, and BLEU-4 by its weight. Finished says that the
// caption has its end. Scores must not be asked for by two goroutines at once: new words are numbered.
func (r *Scorer) Score(i int, caption string, finished bool) float64 {
	ids := r.ids(caption)
	if finished {
		ids = append(ids, endWord)
	}
	v := r.cider.Score(i, ids)
	if r.bleu > 0 {
		v += r.bleu * bleu4(ids, r.refs[i])
	}
	return v
}

// bleu4 is BLEU-4 of one caption, 0 to 1, against the reference whose length is nearest.
func bleu4(ids []int32, refs [][]int32) float64 {
	s := metrics.BLEUStats{Length: len(ids), RefLength: len(refs[0])}
	off := func(n int) int { return max(n-len(ids), len(ids)-n) }
	for _, ref := range refs[1:] {
		if n := len(ref); off(n) < off(s.RefLength) || off(n) == off(s.RefLength) && n < s.RefLength {
			s.RefLength = n
		}
	}
	for n := range s.Correct {
		most := map[[4]int32]int{}
		for _, ref := range refs {
			for gram, count := range grams(ref, n+1) {
				most[gram] = max(most[gram], count)
			}
		}
		for gram, count := range grams(ids, n+1) {
			s.Guess[n] += count
			s.Correct[n] += min(count, most[gram])
		}
	}
	return s.BLEU()[3]
}

// grams counts the runs of n words, n at most 4.
func grams(ids []int32, n int) map[[4]int32]int {
	out := map[[4]int32]int{}
	for i := 0; i+n <= len(ids); i++ {
		var gram [4]int32
		copy(gram[:], ids[i:i+n])
		out[gram]++
	}
	return out
}
