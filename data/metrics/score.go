package metrics

import (
	"math"
	"sync"
)

// Scores are the measures of a corpus as fractions, not percentages. CIDEr and CIDErD run from 0 to 10.
type Scores struct {
	BLEU   [4]float64 // BLEU-1 to BLEU-4
	ROUGEL float64
	// CIDEr is what coco-caption prints under that name: CIDEr-D with document frequencies from the references.
	CIDEr float64
	// CIDErD is the same measure under its own name; it differs from CIDEr only when other document frequencies were
	// given.
	CIDErD float64
	// CIDErPlain is CIDEr as first published: no clipping, no length penalty.
	CIDErPlain float64
	// METEOR is NaN unless a METEOR was given.
	METEOR float64
}

// Each holds the measures of every caption, in the order of the corpus.
type Each struct {
	BLEU       [][4]float64
	Stats      []BLEUStats // what corpus BLEU is added up from
	ROUGEL     []float64
	CIDEr      []float64
	CIDErD     []float64
	CIDErPlain []float64
	METEOR     []MeteorStats // nil unless a METEOR was given
	Others     []Other       // none, unless somebody else adds them
}

// Other is a measure that is made elsewhere and whose value for a corpus is the mean over its captions.
type Other struct {
	Name   string
	Values []float64 // a caption each; NaN where it could not be measured, which the mean leaves out
}

// total is the mean over the captions with the given indices, all of them for nil; 0 where there is nothing to take the
// mean of.
func (o Other) total(index []int32) float64 {
	sum, n := 0.0, 0
	add := func(v float64) {
		if !math.IsNaN(v) {
			sum, n = sum+v, n+1
		}
	}
	if index == nil {
		for _, v := range o.Values {
			add(v)
		}
	}
	for _, i := range index {
		add(o.Values[i])
	}
	return sum / float64(max(n, 1))
}

// Options choose what Evaluate adds to the measures that need nothing else. The zero value adds nothing.
type Options struct {
	DF     *DocumentFrequencies // for CIDErD; nil counts in the references
	METEOR *METEOR              // nil leaves METEOR out
}

// Score tokenizes and scores each hypothesis against its references. It panics if hyps and refs differ in length or an
// image has no reference; NewCorpus and Evaluate return that as an error.
func Score(hyps []string, refs [][]string) Scores {
	c, err := NewCorpus(hyps, refs)
	if err != nil {
		panic(err)
	}
	s, _ := c.Evaluate(Options{})
	return s
}

// A worker holds the scratch memory of one goroutine.
type worker struct {
	one, best tally
	order     []uint8
	weight    []float64
	hyp, ref  vector
	refWords  [][]int32
	row       []int32
}

func newWorker(order []uint8) *worker {
	n := len(order)
	return &worker{one: tally{count: make([]int32, n)}, best: tally{count: make([]int32, n)}, order: order,
		weight: make([]float64, n)}
}

// Evaluate scores the corpus on all processors and returns its measures and those of every caption.
// Results do not depend on the number of processors.
func (c *Corpus) Evaluate(o Options) (Scores, *Each) {
	n := c.Len()
	e := &Each{BLEU: make([][4]float64, n), Stats: make([]BLEUStats, n), ROUGEL: make([]float64, n),
		CIDEr: make([]float64, n), CIDErD: make([]float64, n), CIDErPlain: make([]float64, n)}
	idf := c.idf
	if o.DF != nil {
		idf = o.DF.weights(c)
	}
	pool := sync.Pool{New: func() any { return newWorker(c.table.order) }}
	parallel(n, func(from, to int) {
		w := pool.Get().(*worker)
		defer pool.Put(w)
		for i := from; i < to; i++ {
			c.evaluateOne(w, i, e, idf, o.DF != nil)
		}
	})
	if o.METEOR != nil {
		e.METEOR = o.METEOR.corpus(c)
	}
	return e.total(nil), e
}

func (c *Corpus) evaluateOne(w *worker, i int, e *Each, idf []float64, otherDF bool) {
	refs := c.ref[c.first[i]:c.first[i+1]]
	grams := c.refGrams[c.first[i]:c.first[i+1]]
	w.refWords = w.refWords[:0]
	for _, r := range refs {
		w.refWords = append(w.refWords, r.words)
	}
	e.Stats[i] = w.bleuStats(c.hyp[i].words, w.refWords, c.hypGrams[i], grams, closest)
	e.BLEU[i] = e.Stats[i].BLEU()
	for j, r := range refs {
		w.refWords[j] = r.pieces
	}
	e.ROUGEL[i], w.row = rougeL(c.hyp[i].pieces, w.refWords, w.row)
	e.CIDEr[i] = w.cider(ciderD, c.hypGrams[i], grams, c.idf)
	e.CIDErPlain[i] = w.cider(ciderPlain, c.hypGrams[i], grams, c.idf)
	e.CIDErD[i] = e.CIDEr[i]
	if otherDF {
		e.CIDErD[i] = w.cider(ciderD, c.hypGrams[i], grams, idf)
	}
}

// total adds up the captions with the given indices, all of them for nil; zeros for an empty corpus.
func (e *Each) total(index []int32) Scores {
	n := len(e.Stats)
	if index != nil {
		n = len(index)
	}
	s := Scores{METEOR: math.NaN()}
	if n == 0 {
		return s
	}
	var bleu BLEUStats
	var meteor MeteorStats
	for k := range n {
		i := int32(k)
		if index != nil {
			i = index[k]
		}
		bleu.Add(e.Stats[i])
		s.ROUGEL += e.ROUGEL[i]
		s.CIDEr += e.CIDEr[i]
		s.CIDErD += e.CIDErD[i]
		s.CIDErPlain += e.CIDErPlain[i]
		if e.METEOR != nil {
			meteor.Add(e.METEOR[i])
		}
	}
	s.BLEU = bleu.BLEU()
	for _, x := range []*float64{&s.ROUGEL, &s.CIDEr, &s.CIDErD, &s.CIDErPlain} {
		*x /= float64(n)
	}
	if e.METEOR != nil {
		s.METEOR = meteor.Score()
	}
	return s
}

func mean(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}
