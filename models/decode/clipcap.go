package decode

import (
	"cmp"
	"slices"
)

// clipCap is the search of one image as ClipCap has it (github.com/rmokady/CLIP_prefix_caption at 1ad805a, predict.py,
// generate_beam; with a beam of one it is generate2). Captions are ranked by the mean of their float32
// log-probabilities; one that has ended stays in the race with its mean, and can be pushed out. The end token is the
// full stop: it belongs to the text.
type clipCap struct {
	o     *Options
	beams []clipCapBeam // in the order of the last topk; at first the empty text alone
	steps int
}

type clipCapBeam struct {
	tokens []int32 // with the end token
	log    float32 // sum of log-probabilities
	row    int32   // in the coming step; -1 for one that has ended
}

func newClipCap(o *Options) *clipCap { return &clipCap{o: o, beams: []clipCapBeam{{}}} }

func (s *clipCap) advance(c view) bool {
	var all []clipCapBeam
	var means []float32
	for _, b := range s.beams {
		if b.row < 0 {
			all, means = append(all, b), append(means, b.log/float32(len(b.tokens)))
			continue
		}
		length := float32(len(b.tokens) + 1)
		for j := int(b.row) * c.k; j < int(b.row+1)*c.k && c.ids[j] >= 0; j++ {
			next := clipCapBeam{append(slices.Clip(b.tokens), c.ids[j]), b.log + c.logs[j], b.row}
			if c.ids[j] == s.o.EOS {
				next.row = -1
			}
			all, means = append(all, next), append(means, next.log/length)
		}
	}
	s.steps++
	s.beams = s.beams[:0]
	live := false
	for _, i := range topK(means, min(s.o.Beam, len(means))) {
		b := all[i]
		b.log = means[i] * float32(len(b.tokens)) // as the reference rounds it
		s.beams = append(s.beams, b)
		live = live || b.row >= 0
	}
	return live && s.steps < s.o.MaxLen
}

func (s *clipCap) next(dst []row) []row {
	for i := range s.beams {
		if b := &s.beams[i]; b.row >= 0 {
			dst = append(dst, row{parent: b.row, token: b.tokens[len(b.tokens)-1], tokens: b.tokens})
			b.row = int32(len(dst) - 1)
		}
	}
	return dst
}

func (s *clipCap) hypotheses() []Hypothesis {
	mean := func(b clipCapBeam) float32 { return b.log / float32(max(len(b.tokens), 1)) }
	slices.SortStableFunc(s.beams, func(a, b clipCapBeam) int { return cmp.Compare(mean(b), mean(a)) })
	out := make([]Hypothesis, 0, s.o.Captions)
	for _, b := range s.beams[:min(s.o.Captions, len(s.beams))] {
		out = append(out, Hypothesis{Tokens: slices.Clone(b.tokens), LogProb: float64(b.log), Score: float64(mean(b)),
			Length: len(b.tokens), Finished: b.row < 0})
	}
	return out
}
