package metrics

import (
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"captioner/data/metrics/ptb"
)

// A Corpus is a set of tokenized captions with their references, ready to be scored. It does not change after
// NewCorpus, so its methods are safe for concurrent use.
type Corpus struct {
	hyps, refs [][]string // tokens; refs of image i are refs[first[i]:first[i+1]]
	first      []int

	// The same by numbers. words splits as Python's split() does, pieces only at the blanks that coco-caption puts
	// between tokens (so an empty caption has one empty piece); they share memory where they agree.
	hyp, ref           []sentence
	vocabulary         []string // by number
	table              *ngramTable
	idf                []float64
	hypGrams, refGrams [][]int32
}

type sentence struct{ words, pieces []int32 }

// NewCorpus tokenizes hyps and their references as coco-caption does, using all processors.
// hyps[i] is scored against refs[i], which must not be empty.
func NewCorpus(hyps []string, refs [][]string) (*Corpus, error) {
	if len(hyps) != len(refs) {
		return nil, fmt.Errorf("score captions: %d hypotheses, %d sets of references", len(hyps), len(refs))
	}
	n := 0
	for i, r := range refs {
		if len(r) == 0 {
			return nil, fmt.Errorf("score captions: caption %d of %d has no reference", i, len(refs))
		}
		n += len(r)
	}
	all := make([]string, 0, len(hyps)+n)
	all = append(all, hyps...)
	for _, r := range refs {
		all = append(all, r...)
	}
	tokens := TokenizeAll(all)
	first := make([]int, 1, len(refs)+1)
	for _, r := range refs {
		first = append(first, first[len(first)-1]+len(r))
	}
	return newCorpus(tokens[:len(hyps)], tokens[len(hyps):], first), nil
}

// NewCocoCorpus is NewCorpus with one call of coco-caption's tokenizer for all hypotheses and one for all references,
// as a run of coco-caption makes them: see [ptb.TokenizeTogether].
func NewCocoCorpus(hyps []string, refs [][]string) (*Corpus, error) {
	var flat []string
	for _, r := range refs {
		flat = append(flat, r...)
	}
	tokens := ptb.TokenizeTogether(flat)
	sets := make([][][]string, len(refs))
	for i, r := range refs {
		sets[i], tokens = tokens[:len(r):len(r)], tokens[len(r):]
	}
	return NewTokenCorpus(ptb.TokenizeTogether(hyps), sets)
}

// NewTokenCorpus is NewCorpus for captions that are tokenized already.
func NewTokenCorpus(hyps [][]string, refs [][][]string) (*Corpus, error) {
	if len(hyps) != len(refs) {
		return nil, fmt.Errorf("score captions: %d hypotheses, %d sets of references", len(hyps), len(refs))
	}
	var flat [][]string
	first := []int{0}
	for i, r := range refs {
		if len(r) == 0 {
			return nil, fmt.Errorf("score captions: caption %d of %d has no reference", i, len(refs))
		}
		flat = append(flat, r...)
		first = append(first, len(flat))
	}
	return newCorpus(hyps, flat, first), nil
}

func newCorpus(hyps, refs [][]string, first []int) *Corpus {
	c := &Corpus{hyps: hyps, refs: refs, first: first, table: newNgramTable()}
	words := map[string]int32{}
	c.hyp = numberSentences(words, hyps)
	c.ref = numberSentences(words, refs)
	c.vocabulary = make([]string, len(words))
	for w, id := range words {
		c.vocabulary[id] = w
	}
	c.refGrams = c.gramsOf(c.ref)
	c.hypGrams = c.gramsOf(c.hyp)

	// df: in the references of how many images an n-gram stands.
	df := make([]int32, len(c.table.order))
	last := make([]int32, len(df)) // image+1 that counted it last
	for i := range hyps {
		for _, g := range c.refGrams[first[i]:first[i+1]] {
			for _, id := range g {
				if last[id] != int32(i+1) {
					last[id] = int32(i + 1)
					df[id]++
				}
			}
		}
	}
	c.idf = make([]float64, len(df))
	logN := math.Log(float64(len(hyps)))
	for id, n := range df {
		c.idf[id] = logN - math.Log(max(1, float64(n)))
	}
	return c
}

// Len returns the number of captions.
func (c *Corpus) Len() int { return len(c.hyps) }

// Tokens returns the words of caption i; they must not be changed.
func (c *Corpus) Tokens(i int) []string { return c.hyps[i] }

func (c *Corpus) gramsOf(s []sentence) [][]int32 {
	total := 0
	for _, x := range s {
		total += maxN * len(x.words)
	}
	buf := make([]int32, 0, total)
	out := make([][]int32, len(s))
	for i, x := range s {
		from := len(buf)
		buf = c.table.grams(buf, x.words)
		out[i] = buf[from:len(buf):len(buf)]
	}
	return out
}

// gramTexts returns the words of each n-gram, joined by one blank.
func (c *Corpus) gramTexts() []string {
	out := make([]string, len(c.table.order))
	keys := make([]uint64, len(out))
	for _, p := range c.table.places {
		if p.key != 0 {
			keys[p.number] = p.key - 1
		}
	}
	for id, k := range keys { // a prefix has a smaller number than what it begins
		word := c.vocabulary[uint32(k)]
		if prefix := int32(k>>32) - 1; prefix >= 0 {
			word = out[prefix] + " " + word
		}
		out[id] = word
	}
	return out
}

// numberSentences gives each distinct word a number from 0.
func numberSentences(words map[string]int32, tokens [][]string) []sentence {
	number := func(w string) int32 {
		id, ok := words[w]
		if !ok {
			id = int32(len(words))
			words[w] = id
		}
		return id
	}
	total := 0
	for _, t := range tokens {
		total += len(t)
	}
	buf := make([]int32, 0, total)
	out := make([]sentence, len(tokens))
	for i, t := range tokens {
		from, inner := len(buf), false
		for _, w := range t {
			buf = append(buf, number(w))
			inner = inner || w == "" || strings.ContainsFunc(w, ptb.PythonSpace)
		}
		pieces := buf[from:len(buf):len(buf)]
		out[i] = sentence{pieces, pieces}
		if inner {
			out[i].words = nil
			for _, w := range t {
				for _, f := range strings.FieldsFunc(w, ptb.PythonSpace) {
					out[i].words = append(out[i].words, number(f))
				}
			}
		}
		if len(t) == 0 {
			out[i].pieces = []int32{number("")}
		}
	}
	return out
}

// TokenizeAll is [ptb.Tokenize] for many captions, on all processors.
func TokenizeAll(captions []string) [][]string {
	out := make([][]string, len(captions))
	parallel(len(captions), func(from, to int) {
		var t ptb.Scanner
		for i := from; i < to; i++ {
			out[i] = t.Tokenize(captions[i])
		}
	})
	return out
}

// parallel splits 0..n into runs and gives them to one goroutine a processor.
func parallel(n int, do func(from, to int)) {
	const run = 256
	workers := min(runtime.GOMAXPROCS(0), (n+run-1)/run)
	if workers <= 1 {
		do(0, n)
		return
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for {
				from := int(next.Add(run)) - run
				if from >= n {
					return
				}
				do(from, min(n, from+run))
			}
		})
	}
	wg.Wait()
}

// parallelEach is parallel for calls that each take long.
func parallelEach(n int, do func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), n) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	wg.Wait()
}
