package decode

import (
	"cmp"
	"slices"
)

// groups is diverse beam search (Vijayakumar et al., https://arxiv.org/abs/1610.02424): several narrow beams of one
// image, chosen one after the other at each step, each passing over words that the ones before it took. Differs from
// the paper's code in one point: the penalty ranks a token at its step and is not carried along, so that sums stay
// log-probabilities.
type groups struct {
	o     *Options
	beams []*beam
	over  []bool
	taken []int32
}

func newGroups(o *Options) *groups {
	g := &groups{o: o, over: make([]bool, o.Groups)}
	for range o.Groups {
		g.beams = append(g.beams, newBeam(o, o.Beam/o.Groups))
	}
	return g
}

func (g *groups) advance(c view) bool {
	g.taken = g.taken[:0]
	going := false
	for i, b := range g.beams {
		if g.over[i] {
			continue
		}
		g.over[i] = !b.choose(c, g.taken)
		if g.over[i] {
			continue
		}
		going = true
		for _, h := range b.live {
			g.taken = append(g.taken, h.tokens[len(h.tokens)-1])
		}
	}
	return going
}

func (g *groups) next(dst []row) []row {
	for i, b := range g.beams {
		if !g.over[i] {
			dst = b.next(dst)
		}
	}
	return dst
}

// hypotheses takes the best of every group before the second best of any; among these the better score stands first. A
// caption that two groups found counts once.
func (g *groups) hypotheses() []Hypothesis {
	var out []Hypothesis
	for place := 0; place < g.o.Captions; place++ {
		var tier []Hypothesis
		for _, b := range g.beams {
			if place < len(b.done) {
				tier = append(tier, b.done[place])
			}
		}
		slices.SortStableFunc(tier, better)
		for _, h := range tier {
			same := func(x Hypothesis) bool { return slices.Equal(x.Tokens, h.Tokens) }
			if len(out) < g.o.Captions && !slices.ContainsFunc(out, same) {
				out = append(out, h)
			}
		}
	}
	return out
}

// better orders hypotheses: finished before cut, then by score.
func better(a, b Hypothesis) int {
	if a.Finished != b.Finished {
		if a.Finished {
			return -1
		}
		return 1
	}
	return cmp.Compare(b.Score, a.Score)
}
