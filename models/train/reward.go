package train

import "captioner/data/metrics"

// rewarder scores drawn captions by CIDEr-D over words, as evaluation counts them. The end of a caption counts as a word: without it,
// captions that break off before a noun would score well (the sacreEOS trap, Jia et al. 2020).
type rewarder struct {
	cider *metrics.CIDErD
	words map[string]int32
}

// endWord is the id of the end; words are numbered from 1.
const endWord = 0

func newRewarder(c corpus) (*rewarder, error) {
	r := &rewarder{words: map[string]int32{}}
	refs := make([][][]int32, len(c))
	for i, e := range c {
		for _, s := range e.Captions {
			refs[i] = append(refs[i], append(r.ids(s), endWord))
		}
	}
	var err error
	r.cider, err = metrics.NewCIDErD(refs, metrics.DefaultCIDErDOptions())
	return r, err
}

// ids numbers the words of a caption; new ones get new numbers.
func (r *rewarder) ids(caption string) []int32 {
	var out []int32
	for _, w := range metrics.Tokenize(caption) {
		id, ok := r.words[w]
		if !ok {
			id = int32(len(r.words) + 1)
			r.words[w] = id
		}
		out = append(out, id)
	}
	return out
}

// score is the CIDEr-D of a caption of picture i, 0 to 10.
func (r *rewarder) score(i int, caption string, finished bool) float64 {
	ids := r.ids(caption)
	if finished {
		ids = append(ids, endWord)
	}
	return r.cider.Score(i, ids)
}
