package decode

import (
	"math"
	"math/rand/v2"
	"slices"
)

// sampler draws o.Captions captions of one image, each with a generator of its own.
type sampler struct {
	o     *Options
	live  []draw
	steps int
	done  []Hypothesis
	odds  []float64
}

// draw is a caption being drawn.
type draw struct {
	hypo
	random *rand.Rand
}

func newSampler(o *Options, id uint64) *sampler {
	s := &sampler{o: o, odds: make([]float64, o.TopK)}
	for i := range o.Captions {
		random := rand.New(rand.NewPCG(mix(o.Seed)^mix(id+1), mix(uint64(i))))
		s.live = append(s.live, draw{hypo{tokens: slices.Clone(o.Prompt)}, random})
	}
	return s
}

// mix spreads neighbouring numbers over all 64 bits (the finaliser of splitmix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func (s *sampler) advance(c view) bool {
	s.steps++
	kept := s.live[:0]
	for _, d := range s.live {
		at := int(d.row) * c.k
		ids, logs := c.ids[at:at+c.k], c.logs[at:at+c.k]
		i := s.pick(ids, logs, d.random)
		if i < 0 { // every token is banned
			s.done = append(s.done, cutShort(d.tokens, d.log, s.steps-1, s.o))
			continue
		}
		d.log += float64(logs[i])
		if s.o.ends(ids[i]) {
			s.done = append(s.done, Hypothesis{Tokens: d.tokens, LogProb: d.log, Score: score(d.log, s.steps, s.o.LengthPenalty),
				Length: s.steps, Finished: true})
			continue
		}
		d.tokens = append(d.tokens, ids[i])
		if s.steps == s.o.MaxLen {
			s.done = append(s.done, cutShort(d.tokens, d.log, s.steps, s.o))
			continue
		}
		kept = append(kept, d)
	}
	s.live = kept
	return len(s.live) > 0
}

// pick draws the index of a candidate, -1 if there is none: temperature first, then the share TopP of what is left.
func (s *sampler) pick(ids []int32, logs []float32, random *rand.Rand) int {
	n, total := 0, 0.0
	for n < len(ids) && ids[n] >= 0 && !math.IsInf(float64(logs[n]), -1) {
		n++
	}
	if n <= 1 || s.o.Temperature == 0 {
		return min(n, 1) - 1
	}
	for i := range n {
		s.odds[i] = math.Exp(float64(logs[i]-logs[0]) / s.o.Temperature)
		total += s.odds[i]
	}
	held := 0.0
	for i := range n {
		held += s.odds[i]
		if held >= s.o.TopP*total {
			n = i + 1
			break
		}
	}
	at := random.Float64() * held
	for i := range n {
		if at -= s.odds[i]; at < 0 {
			return i
		}
	}
	return n - 1
}

func (s *sampler) next(dst []row) []row {
	for i := range s.live {
		h := &s.live[i]
		dst = append(dst, row{parent: h.row, token: h.tokens[len(h.tokens)-1], tokens: h.tokens})
		h.row = int32(len(dst) - 1)
	}
	return dst
}

func (s *sampler) hypotheses() []Hypothesis {
	slices.SortStableFunc(s.done, better)
	return s.done
}
