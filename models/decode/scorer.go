package decode

import (
	"cmp"
	"math"
	"slices"
)

// scorer is the beam search of one image over the BeamSearchScorer of transformers, as two programs have it. It ends as
// generate's with early_stopping false, and differs from generate in what counts as a text's length, and in looking at
// the best continuation of all, one that ends the text too.
//
// open_clip has it for CoCa (github.com/mlfoundations/open_clip at v3.3.0, coca_model.py, _generate_beamsearch). Sums
// are of logits as they are, not of log-probabilities, in float32; the mean over a caption's tokens ranks what is
// finished, begin and end token included.
//
// LAVIS has it in the transformers that it wants (1.0.2: 4.26, generation/beam_search.py): the sum of log-probabilities
// over the length ranks, the begin token and the prompt included, the end token not.
type scorer struct {
	o       *Options
	live    []scored     // best first; at first the prompt alone
	done    []scoredText // at most o.Beam, in the order in which they were found
	steps   int          // tokens chosen so far
	logits  bool         // sums are of logits
	before  int          // tokens that count besides the chosen ones
	cut     int          // and one more where MaxLen cuts a text
	penalty float64      // exponent of the length
}

type scored struct {
	tokens []int32 // without the end token
	sum    float32 // of logits or log-probabilities
	log    float64 // of log-probabilities
	row    int32
}

type scoredText struct {
	Hypothesis
	score float64
}

// scoredNext is a text and its next token.
type scoredNext struct {
	scored
	id int32
}

func newCoCa(o *Options) *scorer {
	return &scorer{o: o, live: []scored{{}}, logits: true, before: 1, penalty: 1}
}

func newLAVIS(o *Options) *scorer {
	prompt := slices.Clone(o.Prompt)
	return &scorer{o: o, live: []scored{{tokens: prompt}}, before: len(prompt), cut: 1, penalty: o.LengthPenalty}
}

func (s *scorer) advance(c view) bool {
	ranks := s.rank(c)
	s.steps++
	length := s.steps + s.before
	var next []scored
	for i, r := range ranks {
		if s.o.ends(r.id) {
			if i < s.o.Beam {
				s.add(r.scored, length, true)
			}
			continue
		}
		r.tokens = append(slices.Clip(r.tokens), r.id)
		if next = append(next, r.scored); len(next) == s.o.Beam {
			break
		}
	}
	before := s.live
	s.live = next
	switch {
	case len(next) > 0 && s.full(ranks[0].sum, length):
		return false
	case len(next) > 0 && s.steps < s.o.MaxLen:
		return true
	}
	if len(ranks) == 0 && len(s.done) == 0 { // every continuation is banned
		next = before[:1]
	}
	for _, b := range next { // cut by MaxLen
		s.add(b, length+s.cut, false)
	}
	return false
}

// rank lists the best continuations, best first: twice as many as the beam is wide, so that end tokens leave enough.
func (s *scorer) rank(c view) []scoredNext {
	var all []scoredNext
	for _, b := range s.live {
		at := int(b.row) * c.k
		for j := at; j < at+c.k && c.ids[j] >= 0 && !math.IsInf(float64(c.logs[j]), -1); j++ {
			add := c.logs[j]
			if s.logits {
				add += c.norms[b.row]
			}
			all = append(all, scoredNext{scored{b.tokens, b.sum + add, b.log + float64(c.logs[j]), b.row}, c.ids[j]})
		}
	}
	slices.SortStableFunc(all, func(a, b scoredNext) int { return cmp.Compare(b.sum, a.sum) })
	return all[:min(len(all), 2*s.o.Beam)]
}

// add keeps a finished caption where it is among the best so far.
func (s *scorer) add(b scored, length int, ended bool) {
	score := s.score(b.sum, length)
	if len(s.done) == s.o.Beam && score <= s.done[s.worst()].score {
		return
	}
	h := Hypothesis{Tokens: slices.Clone(b.tokens), LogProb: b.log, Score: score, Length: s.steps, Finished: ended}
	if s.done = append(s.done, scoredText{h, score}); len(s.done) > s.o.Beam {
		at := s.worst()
		s.done = slices.Delete(s.done, at, at+1)
	}
}

func (s *scorer) score(sum float32, length int) float64 {
	return float64(sum) / math.Pow(float64(length), s.penalty)
}

// worst is the first of the lowest scores.
func (s *scorer) worst() int {
	at := 0
	for i, d := range s.done {
		if d.score < s.done[at].score {
			at = i
		}
	}
	return at
}

// full says whether no live caption is thought to become better than the worst that is kept: its best sum so far, over
// its present length, is no more.
func (s *scorer) full(best float32, length int) bool {
	return len(s.done) == s.o.Beam && s.done[s.worst()].score >= s.score(best, length)
}

func (s *scorer) next(dst []row) []row {
	for i := range s.live {
		b := &s.live[i]
		dst = append(dst, row{parent: b.row, token: b.tokens[len(b.tokens)-1], tokens: b.tokens})
		b.row = int32(len(dst) - 1)
	}
	return dst
}

func (s *scorer) hypotheses() []Hypothesis {
	slices.Reverse(s.done) // of equal scores the later stands first
	slices.SortStableFunc(s.done, func(a, b scoredText) int { return cmp.Compare(b.score, a.score) })
	out := make([]Hypothesis, 0, s.o.Captions)
	for _, d := range s.done[:min(s.o.Captions, len(s.done))] {
		out = append(out, d.Hypothesis)
	}
	return out
}
