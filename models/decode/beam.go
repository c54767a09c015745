package decode

import (
	"cmp"
	"math"
	"slices"
)

// beam is the search of one image, or of one group of it.
type beam struct {
	o     *Options
	width int    // most live rows
	live  []hypo // best first
	spare []hypo // the step before, whose memory the next step takes
	steps int    // tokens chosen so far
	ranks []continuation
	done  []Hypothesis // finished ones, best first, at most o.Captions
}

// hypo is a live hypothesis.
type hypo struct {
	row    int32 // its row in the coming step; until next it is the row that it continues
	tokens []int32
	log    float64
}

// continuation is a live hypothesis and one more token.
type continuation struct {
	log  float64 // what it is ranked by
	sum  float64 // sum of log-probabilities; equal to log where there are no diverse groups
	id   int32
	from int32 // index of the live hypothesis
}

func newBeam(o *Options, width int) *beam {
	return &beam{o: o, width: width, live: []hypo{{tokens: slices.Clone(o.Prompt)}}}
}

func (b *beam) advance(c view) bool { return b.choose(c, nil) }

// choose is advance for a group: taken holds the tokens that earlier groups chose at this step.
func (b *beam) choose(c view, taken []int32) bool {
	b.rank(c, taken)
	return b.take()
}

// take goes on with the first of the ranked continuations, and reports false when the search is over.
func (b *beam) take() bool {
	b.steps++
	next := b.spare[:0]
	for i, r := range b.ranks {
		from := &b.live[r.from]
		if b.o.ends(r.id) {
			if i < b.width {
				b.finish(from.tokens, r.sum)
			}
			continue
		}
		if len(next) == b.width {
			break
		}
		var memory []int32
		if len(next) < cap(next) {
			memory = next[:len(next)+1][len(next)].tokens[:0]
		}
		next = append(next, hypo{row: from.row, tokens: append(append(memory, from.tokens...), r.id), log: r.sum})
	}
	if len(next) == 0 && len(b.ranks) == 0 { // every continuation is banned
		b.cut(b.live, b.steps-1)
		return false
	}
	b.live, b.spare = next, b.live
	if b.steps == b.o.MaxLen {
		b.cut(b.live, b.steps)
		return false
	}
	return b.promising()
}

// rank lists all continuations, best first. Ties go to the lower token, then to the lower row.
func (b *beam) rank(c view, taken []int32) {
	b.ranks = b.ranks[:0]
	for i, h := range b.live {
		at := int(h.row) * c.k
		for j := at; j < at+c.k; j++ {
			l := float64(c.logs[j])
			if c.ids[j] < 0 || math.IsInf(l, -1) {
				break
			}
			r := continuation{log: h.log + l, sum: h.log + l, id: c.ids[j], from: int32(i)}
			for _, t := range taken {
				if t == r.id {
					r.log -= b.o.Diversity
				}
			}
			b.ranks = append(b.ranks, r)
		}
	}
	slices.SortFunc(b.ranks, byRank)
}

func byRank(x, y continuation) int {
	return cmp.Or(cmp.Compare(y.log, x.log), cmp.Compare(x.id, y.id), cmp.Compare(x.from, y.from))
}

// promising reports whether a live hypothesis may still reach a place among the kept ones. Its sum can only fall, so
// the best that it can become is its sum over the most favourable length: the longest, or the shortest where the
// penalty is negative.
func (b *beam) promising() bool {
	if len(b.live) == 0 {
		return false
	}
	if len(b.done) < b.o.Captions {
		return true
	}
	worst := b.done[len(b.done)-1].Score
	for _, h := range b.live {
		if max(score(h.log, b.steps+1, b.o.LengthPenalty), score(h.log, b.o.MaxLen, b.o.LengthPenalty)) > worst {
			return true
		}
	}
	return false
}

// finish keeps a hypothesis that ends here, if it is good enough. Among equal scores the earlier one stands first.
func (b *beam) finish(tokens []int32, sum float64) {
	h := Hypothesis{LogProb: sum, Score: score(sum, b.steps, b.o.LengthPenalty), Length: b.steps, Finished: true}
	at := len(b.done)
	for at > 0 && b.done[at-1].Score < h.Score {
		at--
	}
	if at == b.o.Captions {
		return
	}
	h.Tokens = slices.Clone(tokens)
	b.done = slices.Insert(b.done, at, h)
	b.done = b.done[:min(len(b.done), b.o.Captions)]
}

// cut fills the places that no finished hypothesis took with live ones of the given number of tokens.
func (b *beam) cut(live []hypo, length int) {
	for _, h := range live {
		if len(b.done) == b.o.Captions {
			return
		}
		b.done = append(b.done, cutShort(h.tokens, h.log, length, b.o))
	}
}

// cutShort is a hypothesis that has no end token.
func cutShort(tokens []int32, sum float64, length int, o *Options) Hypothesis {
	return Hypothesis{
		Tokens:  slices.Clone(tokens),
		LogProb: sum,
		Score:   score(sum, max(length, 1), o.LengthPenalty),
		Length:  length,
	}
}

func (b *beam) next(dst []row) []row {
	for i := range b.live {
		h := &b.live[i]
		dst = append(dst, row{parent: h.row, token: h.tokens[len(h.tokens)-1], tokens: h.tokens})
		h.row = int32(len(dst) - 1)
	}
	return dst
}

func (b *beam) hypotheses() []Hypothesis { return b.done }
