package metrics

import (
	"fmt"
	"math"
	"slices"
	"sync"
)

// CIDErDOptions set up NewCIDErD.
type CIDErDOptions struct {
	// EOS is counted as the last word of every caption, so that a caption is rewarded for ending where the references
	// end. A negative number, the value of DefaultCIDErDOptions, counts none. A caption that ends with EOS already
	// does not get a second one.
	EOS int32
	// Sigma of the length penalty, 6 by default.
	Sigma float64
}

// DefaultCIDErDOptions are those of coco-caption's CIDEr.
func DefaultCIDErDOptions() CIDErDOptions { return CIDErDOptions{EOS: -1, Sigma: ciderSigma} }

// CIDErD scores token ids against the references of an image, fast enough to be a reward during training: the
// references are weighed once, scoring allocates nothing in the steady state. Document frequencies are counted in the
// references. Safe for concurrent use; NewScorer makes a scorer for one goroutine that needs no pool.
type CIDErD struct {
	o     CIDErDOptions
	table *ngramTable // n-grams of the references; others have the weight unseen
	logN  float64
	idf   []float64
	// The references of image i are vectors first[i] to first[i+1]-1.
	first []int32
	refs  []vector
	pool  sync.Pool
}

// NewCIDErD weighs the references, refs[image][k] being the token ids of one. Ids must not be negative, and each image
// must have a reference.
func NewCIDErD(refs [][][]int32, o CIDErDOptions) (*CIDErD, error) {
	if !(o.Sigma > 0) {
		return nil, fmt.Errorf("set up CIDEr-D: sigma %v, want more than 0", o.Sigma)
	}
	c := &CIDErD{o: o, table: newNgramTable(), first: []int32{0}, logN: math.Log(float64(len(refs)))}
	c.pool.New = func() any { return c.NewScorer() }
	var grams [][]int32
	var df []int32
	var seen []int32 // image+1 that counted an n-gram last
	var words []int32
	for image, rs := range refs {
		if len(rs) == 0 {
			return nil, fmt.Errorf("set up CIDEr-D: image %d has no reference", image)
		}
		for k, r := range rs {
			if len(r) > 0 && slices.Min(r) < 0 {
				return nil, fmt.Errorf("set up CIDEr-D: image %d, reference %d: token %d, want 0 or more", image, k, slices.Min(r))
			}
			words = c.words(words[:0], r)
			g := c.table.grams(nil, words)
			for len(df) < len(c.table.order) {
				df, seen = append(df, 0), append(seen, 0)
			}
			for _, id := range g {
				if seen[id] != int32(image+1) {
					seen[id] = int32(image + 1)
					df[id]++
				}
			}
			grams = append(grams, g)
		}
		c.first = append(c.first, int32(len(grams)))
	}
	c.idf = make([]float64, len(df))
	for id, n := range df {
		c.idf[id] = c.logN - math.Log(float64(n))
	}
	t := tally{count: make([]int32, len(df))}
	c.refs = make([]vector, len(grams))
	for i, g := range grams {
		vectorOf(&c.refs[i], &t, g, c.table.order, c.idf)
	}
	return c, nil
}

// words appends a caption with its end.
func (c *CIDErD) words(dst, tokens []int32) []int32 {
	dst = append(dst, tokens...)
	if c.o.EOS >= 0 && (len(tokens) == 0 || tokens[len(tokens)-1] != c.o.EOS) {
		dst = append(dst, c.o.EOS)
	}
	return dst
}

// Images returns the number of images.
func (c *CIDErD) Images() int { return len(c.first) - 1 }

// Score returns the CIDEr-D of a caption of an image, from 0 to 10. Tokens that no reference has count as unseen words.
// It panics if there is no such image.
func (c *CIDErD) Score(image int, hyp []int32) float64 {
	s := c.pool.Get().(*CIDErDScorer)
	score := s.Score(image, hyp)
	c.pool.Put(s)
	return score
}

// CIDErDScorer is the scratch memory of one goroutine that scores with a CIDErD.
type CIDErDScorer struct {
	c      *CIDErD
	weight []float64 // of the caption's n-grams
	counts tally
	hyp    vector
	words  []int32
	other  map[[maxN]int32]int32 // counts of n-grams that no reference has
}

// NewScorer returns a scorer for one goroutine.
func (c *CIDErD) NewScorer() *CIDErDScorer {
	n := len(c.table.order)
	return &CIDErDScorer{c: c, weight: make([]float64, n), counts: tally{count: make([]int32, n)},
		other: map[[maxN]int32]int32{}}
}

// Score is CIDErD.Score.
func (s *CIDErDScorer) Score(image int, hyp []int32) float64 {
	c := s.c
	s.words = c.words(s.words[:0], hyp)
	s.vector()
	for i, id := range s.hyp.ids {
		s.weight[id] = s.hyp.weights[i]
	}
	sim := similarity{clip: true, penalty: true, sigma: c.o.Sigma}
	sum := 0.0
	refs := c.refs[c.first[image]:c.first[image+1]]
	for i := range refs {
		sum += sim.of(&s.hyp, &refs[i], s.weight, c.table.order)
	}
	for _, id := range s.hyp.ids {
		s.weight[id] = 0
	}
	return sum / float64(len(refs)) * ciderScale
}

// vector weighs s.words. N-grams that no reference has weigh logN each time and add to the norms alone.
func (s *CIDErDScorer) vector() {
	c := s.c
	clear(s.other)
	for i := range s.words {
		prefix := int32(-1)
		gram := [maxN]int32{-1, -1, -1, -1}
		known := true
		for n := 0; n < maxN && i+n < len(s.words); n++ {
			gram[n] = s.words[i+n]
			if known {
				prefix = c.table.find(prefix, gram[n])
				known = prefix >= 0
			}
			if known {
				s.counts.add(prefix)
			} else {
				s.other[gram]++
			}
		}
	}
	v := &s.hyp
	v.ids, v.weights, v.norms, v.length = v.ids[:0], v.weights[:0], [maxN]float64{}, max(0, len(s.words)-1)
	for _, id := range s.counts.used {
		w := float64(s.counts.count[id]) * c.idf[id]
		v.ids, v.weights = append(v.ids, id), append(v.weights, w)
		v.norms[c.table.order[id]] += w * w
	}
	s.counts.clear()
	for gram, count := range s.other {
		n := 0
		for n+1 < maxN && gram[n+1] >= 0 {
			n++
		}
		w := float64(count) * c.logN
		v.norms[n] += w * w
	}
	for n := range v.norms {
		v.norms[n] = math.Sqrt(v.norms[n])
	}
}
