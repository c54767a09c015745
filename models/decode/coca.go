package decode

import (
	"cmp"
	"slices"
)

// coca is the beam search of one image as open_clip has it for CoCa (github.com/mlfoundations/open_clip at v3.3.0,
// coca_model.py, _generate_beamsearch, over BeamSearchScorer of transformers 4.57). Sums are of logits as they are, not
// of log-probabilities, in float32; the mean over a caption's tokens ranks what is finished, begin and end token
// included. It ends as generate's with early_stopping false: see generate.
type coca struct {
	o     *Options
	live  []cocaBeam // best first; at first the empty text alone
	done  []cocaDone // at most o.Beam, in the order in which they were found
	steps int        // tokens chosen so far
}

type cocaBeam struct {
	tokens []int32 // without the end token
	sum    float32 // of logits
	log    float64 // of log-probabilities
	row    int32
}

type cocaDone struct {
	Hypothesis
	score float64
}

// cocaCandidate is a beam and its next token.
type cocaCandidate struct {
	cocaBeam
	id int32
}

func newCoCa(o *Options) *coca { return &coca{o: o, live: []cocaBeam{{}}} }

func (s *coca) advance(c view) bool {
	ranks := s.rank(c)
	s.steps++
	length := s.steps + 1 // with the begin token
	var next []cocaBeam
	for i, r := range ranks {
		if r.id == s.o.EOS {
			if i < s.o.Beam {
				s.add(r.cocaBeam, length, s.steps, true)
			}
			continue
		}
		r.tokens = append(slices.Clip(r.tokens), r.id)
		if next = append(next, r.cocaBeam); len(next) == s.o.Beam {
			break
		}
	}
	s.live = next
	switch {
	case len(next) > 0 && s.full(ranks[0].sum, length):
		return false
	case len(next) > 0 && s.steps < s.o.MaxLen:
		return true
	}
	for _, b := range next { // cut by MaxLen
		s.add(b, length, s.steps, false)
	}
	return false
}

// rank lists the best continuations, best first: twice as many as the beam is wide, so that end tokens leave enough.
func (s *coca) rank(c view) []cocaCandidate {
	var all []cocaCandidate
	for _, b := range s.live {
		at := int(b.row) * c.k
		for j := at; j < at+c.k && c.ids[j] >= 0; j++ {
			next := cocaBeam{b.tokens, b.sum + (c.logs[j] + c.norms[b.row]), b.log + float64(c.logs[j]), b.row}
			all = append(all, cocaCandidate{next, c.ids[j]})
		}
	}
	slices.SortStableFunc(all, func(a, b cocaCandidate) int { return cmp.Compare(b.sum, a.sum) })
	return all[:min(len(all), 2*s.o.Beam)]
}

// add keeps a finished caption where it is among the best so far.
func (s *coca) add(b cocaBeam, length, chosen int, ended bool) {
	score := float64(b.sum) / float64(length)
	if len(s.done) == s.o.Beam && score <= s.done[s.worst()].score {
		return
	}
	h := Hypothesis{Tokens: slices.Clone(b.tokens), LogProb: b.log, Score: score, Length: chosen, Finished: ended}
	if s.done = append(s.done, cocaDone{h, score}); len(s.done) > s.o.Beam {
		at := s.worst()
		s.done = slices.Delete(s.done, at, at+1)
	}
}

// worst is the first of the lowest scores.
func (s *coca) worst() int {
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
func (s *coca) full(best float32, length int) bool {
	return len(s.done) == s.o.Beam && s.done[s.worst()].score >= float64(best)/float64(length)
}

func (s *coca) next(dst []row) []row {
	for i := range s.live {
		b := &s.live[i]
		dst = append(dst, row{parent: b.row, token: b.tokens[len(b.tokens)-1], tokens: b.tokens})
		b.row = int32(len(dst) - 1)
	}
	return dst
}

func (s *coca) hypotheses() []Hypothesis {
	slices.Reverse(s.done) // of equal scores the later stands first
	slices.SortStableFunc(s.done, func(a, b cocaDone) int { return cmp.Compare(b.score, a.score) })
	out := make([]Hypothesis, 0, s.o.Captions)
	for _, d := range s.done[:min(s.o.Captions, len(s.done))] {
		out = append(out, d.Hypothesis)
	}
	return out
}

// cocaPad is open_clip's padding token, with which its greedy search ends a text too: "!", which stays in the text.
const cocaPad = 0

// cocaGreedy is the greedy search of one image as open_clip has it for CoCa: generate with generation_type "top_k" and
// a top_k of 1. The last token that MaxLen leaves room for is the end token, whatever the model says.
type cocaGreedy struct {
	o     *Options
	text  Hypothesis
	steps int
}

func newCoCaGreedy(o *Options) *cocaGreedy { return &cocaGreedy{o: o} }

func (s *cocaGreedy) advance(c view) bool {
	s.steps++
	if s.steps == s.o.MaxLen || c.ids[0] < 0 {
		return false
	}
	s.text.LogProb += float64(c.logs[0])
	s.text.Length++
	if c.ids[0] == s.o.EOS {
		s.text.Finished = true
		return false
	}
	s.text.Tokens = append(s.text.Tokens, c.ids[0])
	s.text.Finished = c.ids[0] == cocaPad
	return !s.text.Finished
}

func (s *cocaGreedy) next(dst []row) []row {
	return append(dst, row{token: s.text.Tokens[len(s.text.Tokens)-1], tokens: s.text.Tokens})
}

func (s *cocaGreedy) hypotheses() []Hypothesis {
	s.text.Score = s.text.LogProb / float64(max(s.text.Length, 1))
	return []Hypothesis{s.text}
}
