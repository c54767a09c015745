package decode

import (
	"cmp"
	"math"
	"slices"
)

// The ways in which the beam search of Hugging Face's generate ends, by its setting early_stopping: see
// Options.EarlyStopping.
const (
	StopFalse = "false" // generate's default
	StopTrue  = "true"
	StopNever = "never"

	// StopLAVIS is StopFalse by the rules of LAVIS's own generate: see scorer.
	StopLAVIS = "lavis"
)

// generate is the beam search of one image as Hugging Face's generate has it (transformers 4.57, generation/utils.py,
// _beam_search), in float32 as there. It differs from beam in what it keeps and when it ends: as many finished
// hypotheses as the beam is wide, the live ones join them at MaxLen, and by default it ends once they are full and the
// best live sum over its present length is no better than the worst of them.
type generate struct {
	o     *Options
	live  []generated // best first
	done  []generated // best first, at most o.Beam
	steps int         // tokens chosen so far
	ranks []generated // of a step
}

// generated is a hypothesis. A candidate shares its tokens with the live one that it continues, until it is kept.
type generated struct {
	tokens []int32 // without the end token
	id     int32   // of a candidate: its last token
	row    int32
	log    float32
	score  float32 // of a finished one
	length int
	ended  bool
}

func newGenerate(o *Options) *generate {
	return &generate{o: o, live: []generated{{tokens: slices.Clone(o.Prompt)}}}
}

func (g *generate) advance(c view) bool {
	g.rank(c)
	g.steps++
	last := g.steps == g.o.MaxLen
	over := float32(math.Pow(float64(g.steps), g.o.LengthPenalty))
	var next []generated
	for i, r := range g.ranks {
		if r.ended = g.o.ends(r.id); !r.ended {
			r.tokens = append(slices.Clip(r.tokens), r.id)
		}
		if !r.ended && !last {
			if len(next) < g.o.Beam {
				next = append(next, r)
			}
		} else if i < g.o.Beam {
			r.score, r.length = r.log/over, g.steps
			g.done = append(g.done, r)
		}
	}
	slices.SortStableFunc(g.done, func(a, b generated) int { return cmp.Compare(b.score, a.score) })
	g.done = g.done[:min(len(g.done), g.o.Beam)]
	if len(g.ranks) == 0 && len(g.done) == 0 { // every continuation is banned
		g.done = append(g.done, g.live[0])
	}
	g.live = next
	return len(next) > 0 && g.open()
}

// rank lists all continuations, best first; ties in the order of a stable sort over rows and tokens.
func (g *generate) rank(c view) {
	g.ranks = g.ranks[:0]
	for _, h := range g.live {
		at := int(h.row) * c.k
		for j := at; j < at+c.k && c.ids[j] >= 0 && !math.IsInf(float64(c.logs[j]), -1); j++ {
			g.ranks = append(g.ranks, generated{tokens: h.tokens, id: c.ids[j], row: h.row, log: h.log + c.logs[j]})
		}
	}
	slices.SortStableFunc(g.ranks, func(a, b generated) int { return cmp.Compare(b.log, a.log) })
}

// open says whether the search goes on, by generate's guess of what the live hypotheses can still become.
func (g *generate) open() bool {
	if len(g.done) < g.o.Beam {
		return true
	}
	length := g.steps
	if g.o.EarlyStopping == StopNever && g.o.LengthPenalty > 0 {
		length = g.o.MaxLen
	}
	best := g.live[0].log / float32(math.Pow(float64(length), g.o.LengthPenalty))
	return g.o.EarlyStopping != StopTrue && best > g.done[len(g.done)-1].score
}

func (g *generate) next(dst []row) []row {
	for i := range g.live {
		h := &g.live[i]
		dst = append(dst, row{parent: h.row, token: h.tokens[len(h.tokens)-1], tokens: h.tokens})
		h.row = int32(len(dst) - 1)
	}
	return dst
}

func (g *generate) hypotheses() []Hypothesis {
	out := make([]Hypothesis, 0, g.o.Captions)
	for _, h := range g.done[:min(g.o.Captions, len(g.done))] {
		out = append(out, Hypothesis{
			Tokens: slices.Clone(h.tokens), LogProb: float64(h.log), Score: float64(h.score),
			Length: h.length, Finished: h.ended,
		})
	}
	return out
}
