package metrics

import (
	"math"

	"strings"
	"sync"

	"captioner/data/metrics/ptb"
)

// METEOR is the measure of Denkowski and Lavie (2014) in version 1.5, for English, with the parameters that
// coco-caption uses. It aligns a caption with each reference by equal words, equal stems, WordNet synonyms and
// paraphrases. OpenMETEOR reads its data. Safe for concurrent use.
type METEOR struct {
	function map[string]bool
	prefixes map[string]int
	bases    map[string][]string // of an irregular form
	synsets  map[string][]int32  // sorted
	para     *paraphrases
}

// Parameters and weights of the ranking task for English. Each kind of match has its weight in the score, and another
// one while the best alignment is searched.
const (
	meteorRecall = 0.85
	meteorBeta   = 0.2
	meteorGamma  = 0.6
	meteorDelta  = 0.75
	meteorBeam   = 40
	meteorKinds  = 4
)

const (
	kindExact = iota
	kindStem
	kindSynonym
	kindParaphrase
)

var (
	meteorWeights = [meteorKinds]float64{1, 0.6, 0.8, 0.6}
	searchWeights = [meteorKinds]float64{1, 0.5, 0.5, 0.5}
)

// MeteorStats are the counts that METEOR is computed from, of one caption and its best reference or added up over a
// corpus. Index 0 is the caption, 1 the reference.
type MeteorStats struct {
	Length, Function         [2]float64              // words, and function words among them
	Content, FunctionMatches [2][meteorKinds]float64 // matched words that are and are not content words, by kind of match
	Chunks                   float64                 // runs of matches in the same order
}

// matches returns how many words are matched.
func (s *MeteorStats) matches(side int) float64 {
	sum := 0.0
	for k := range meteorKinds {
		sum += s.Content[side][k] + s.FunctionMatches[side][k]
	}
	return sum
}

// whole reports that caption and reference match from end to end in one run.
func (s *MeteorStats) whole() bool {
	return s.matches(0) == s.Length[0] && s.matches(1) == s.Length[1] && s.Chunks == 1
}

// Add adds the counts of another caption; the one run of a complete match is not counted.
func (s *MeteorStats) Add(o MeteorStats) {
	for side := range 2 {
		s.Length[side] += o.Length[side]
		s.Function[side] += o.Function[side]
		for k := range meteorKinds {
			s.Content[side][k] += o.Content[side][k]
			s.FunctionMatches[side][k] += o.FunctionMatches[side][k]
		}
	}
	if !o.whole() {
		s.Chunks += o.Chunks
	}
}

// Score returns METEOR, from 0 to 1.
func (s MeteorStats) Score() float64 {
	var share [2]float64 // precision and recall
	for side := range 2 {
		length := meteorDelta*(s.Length[side]-s.Function[side]) + (1-meteorDelta)*s.Function[side]
		weighted := 0.0
		for k, w := range meteorWeights {
			weighted += s.Content[side][k] * w * meteorDelta
		}
		for k, w := range meteorWeights {
			weighted += s.FunctionMatches[side][k] * w * (1 - meteorDelta)
		}
		share[side] = weighted / length
	}
	mean := 1 / ((1-meteorRecall)/share[0] + meteorRecall/share[1])
	fragments := 0.0
	if !s.whole() {
		fragments = s.Chunks / ((s.matches(0) + s.matches(1)) / 2)
	}
	score := mean * (1 - meteorGamma*math.Pow(fragments, meteorBeta))
	if math.IsNaN(score) {
		return 0
	}
	return max(score, 0)
}

// A meteorWord is what METEOR knows of one word.
type meteorWord struct {
	hash, stemHash int32
	synsets        []int32
	para           int32 // its number in the paraphrases, or -1
	function       bool
}

// A meteorLine is a normalized caption.
type meteorLine struct {
	words []*meteorWord
	spans []span // phrases in it that can be said in other ways, or begin such phrases, by start, then length
}

type span struct{ node, start, length int32 }

// lexicon keeps the words that one goroutine has looked up.
type lexicon struct {
	m     *METEOR
	words map[string]*meteorWord
}

func (l *lexicon) word(s string) *meteorWord {
	w, ok := l.words[s]
	if !ok {
		s = strings.Clone(s)
		w = &meteorWord{hash: javaHash(s), stemHash: javaHash(stem(s)), synsets: l.m.synsetsOf(s),
			para: l.m.para.words.find(s), function: l.m.function[s]}
		l.words[s] = w
	}
	return w
}

// javaHash is Java's String.hashCode, by which METEOR compares words.
func javaHash(s string) int32 {
	h := int32(0)
	for _, u := range utf16Of(s) {
		h = 31*h + int32(u)
	}
	return h
}

func (l *lexicon) line(caption string) *meteorLine {
	words := l.m.normalize(caption)
	line := &meteorLine{words: make([]*meteorWord, len(words))}
	for i, w := range words {
		line.words[i] = l.word(w)
	}
	for i := range words {
		node := int32(-1)
		for j := i; j < len(words) && line.words[j].para >= 0; j++ {
			if node = l.m.para.tree.find(node, line.words[j].para); node < 0 {
				break
			}
			line.spans = append(line.spans, span{node, int32(i), int32(j - i + 1)})
		}
	}
	return line
}

// A meteorScorer holds the scratch memory of one goroutine.
type meteorScorer struct {
	lexicon
	align aligner
}

func (m *METEOR) scorer() *meteorScorer {
	s := &meteorScorer{lexicon: lexicon{m, map[string]*meteorWord{}}}
	s.align.para, s.align.has = m.para, make([]uint64, m.para.words.len()/64+1)
	return s
}

// stats aligns a caption with each reference and returns the counts of the first with the highest score.
func (s *meteorScorer) stats(hyp string, refs []string) MeteorStats {
	var best MeteorStats
	score := -1.0
	h := s.line(hyp)
	for _, ref := range refs {
		st := s.align.align(h, s.line(ref))
		if sc := st.Score(); sc > score {
			best, score = st, sc
		}
	}
	return best
}

// Stats returns the counts for a caption and its references, which are split into words as [ptb.Tokenize] does.
func (m *METEOR) Stats(hyp string, refs []string) MeteorStats {
	r := make([]string, len(refs))
	for i, x := range refs {
		r[i] = strings.Join(ptb.Tokenize(x), " ")
	}
	return m.scorer().stats(strings.Join(ptb.Tokenize(hyp), " "), r)
}

// corpus scores all captions of a corpus.
func (m *METEOR) corpus(c *Corpus) []MeteorStats {
	out := make([]MeteorStats, c.Len())
	pool := sync.Pool{New: func() any { return m.scorer() }}
	parallel(c.Len(), func(from, to int) {
		s := pool.Get().(*meteorScorer)
		defer pool.Put(s)
		for i := from; i < to; i++ {
			refs := make([]string, 0, 8)
			for _, r := range c.refs[c.first[i]:c.first[i+1]] {
				refs = append(refs, strings.Join(r, " "))
			}
			out[i] = s.stats(strings.Join(c.hyps[i], " "), refs)
		}
	})
	return out
}

// sharesOne reports whether two sorted lists have a number in common.
func sharesOne(a, b []int32) bool {
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] == b[0]:
			return true
		case a[0] < b[0]:
			a = a[1:]
		default:
			b = b[1:]
		}
	}
	return false
}
