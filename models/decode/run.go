package decode

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// ErrNaN is the cause where a model gives no numbers: its weights are spoilt.
var ErrNaN = errors.New("NaN as log-probability")

// searcher is the search of one image: it takes the scores of its rows and says which rows come next.
type searcher interface {
	// advance takes the candidates of the image's rows, row by row, k each. It reports false when the image is finished.
	advance(c view) bool
	// next lists the rows of the next step, in their order; there are at most width of them, and at least one.
	next(dst []row) []row
	// hypotheses is the outcome, best first.
	hypotheses() []Hypothesis
}

// row is one row of a step.
type row struct {
	parent int32   // the row of the image's previous step that it continues
	token  int32   // what is fed
	tokens []int32 // its prompt and chosen tokens
}

// view is one image's part of a step's candidates.
type view struct {
	ids   []int32
	logs  []float32
	k     int
	extra []float32 // log-probabilities of the forced tokens, row by row
	norms []float32 // see Candidates.Norms
}

// alive is an image that is still being captioned.
type alive struct {
	image int // its place in the batch
	searcher
}

// Run captions images 0 to images-1 and returns, for each, its hypotheses, best first: o.Captions of them, or fewer
// where the search found no more. It calls s.Step at most len(o.Prompt)+o.MaxLen times, from the calling goroutine, and
// keeps nothing of it.
func Run(s Stepper, images int, o Options) ([][]Hypothesis, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	if images < 0 || o.IDs != nil && len(o.IDs) != images {
		return nil, fmt.Errorf("decode: %d ids for %d images, want one each", len(o.IDs), images)
	}
	out := make([][]Hypothesis, images)
	if images == 0 {
		return out, nil
	}
	// Beam and one more for each end token: where they are among them, enough is left; and so where a group passes over
	// all that the others took.
	r := runner{extra: forcedTokens(o.Force), s: s, o: &o, width: o.Beam, k: o.Beam + 1 + len(o.Ends), bans: newBans(&o)}
	switch {
	case o.Rule == ClipDecoder, o.Rule == ClipCap:
		r.k = o.Beam
	case o.Rule == CoCa && o.Beam > 1:
		r.k = 2 * o.Beam
	case o.Rule == ClipDecoderSample:
		r.width, r.k = 1, o.TopK
	case o.Sample:
		r.width, r.k = o.Captions, o.TopK
	case o.Beam == 1:
		r.k = 1 // so that an end token leaves nothing to go on with
	}
	for i := range images {
		r.alive = append(r.alive, alive{i, newSearcher(&o, i)})
	}
	if err := r.run(out); err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	return out, nil
}

func newSearcher(o *Options, image int) searcher {
	switch {
	case o.Rule == ClipDecoder:
		return newClipDecoder(o)
	case o.Rule == ClipDecoderSample:
		return newClipDecoderSampler(o)
	case o.Rule == ClipCap:
		return newClipCap(o)
	case o.Rule == CoCa && o.Beam > 1:
		return newCoCa(o)
	case o.Rule == CoCa:
		return newCoCaGreedy(o)
	case o.Sample:
		id := uint64(image)
		if o.IDs != nil {
			id = o.IDs[image]
		}
		return newSampler(o, id)
	case o.Groups > 1:
		return newGroups(o)
	case len(o.Force) > 0:
		return newForced(o)
	case o.EarlyStopping == StopLAVIS && o.Beam > 1:
		return newLAVIS(o)
	case o.EarlyStopping != "" && o.Beam > 1:
		return newGenerate(o)
	default:
		return newBeam(o, o.Beam)
	}
}

// runner holds a run's state between steps. Its slices are reused from step to step.
type runner struct {
	s     Stepper
	o     *Options
	width int // rows an image after the first scored step
	k     int
	extra []int32 // tokens that forced words need
	bans  *bans
	alive []alive

	req  StepRequest
	rows []row // of one image
}

func (r *runner) run(out [][]Hypothesis) error {
	if err := r.feedPrompt(); err != nil {
		return err
	}
	rows := 1 // an image
	for step := 1; len(r.alive) > 0; step++ {
		forced := r.o.forced(step - 1)
		c, err := r.step(rows, forced, len(forced) > 0 && step == r.o.MaxLen)
		if err != nil {
			return fmt.Errorf("step %d: %w", step, err)
		}
		r.collect(c, rows, out)
		rows = r.width
	}
	return nil
}

// feedPrompt fills the request of the first scored step: BOS, or the prompt's last token after feeding all before it.
func (r *runner) feedPrompt() error {
	n := len(r.alive)
	r.req.Tokens = make([]int32, n, n*r.width)
	fill(r.req.Tokens, r.o.BOS)
	for i, t := range r.o.Prompt {
		if _, err := r.s.Step(r.req); err != nil {
			return fmt.Errorf("prompt token %d: %w", i, err)
		}
		if i == 0 {
			r.req.Parents = make([]int32, n, n*r.width)
			for j := range r.req.Parents {
				r.req.Parents[j] = int32(j)
			}
		}
		fill(r.req.Tokens, t)
	}
	r.req.Ban = r.bans.first(n)
	return nil
}

// step asks the model and checks what it says, as far as that is cheap. Where tokens are forced it only tells it what
// was chosen, and nothing at the last step.
func (r *runner) step(rows int, forced []int32, last bool) (Candidates, error) {
	n := len(r.alive) * rows
	if last {
		return r.force(n, forced), nil
	}
	r.req.K, r.req.Extra, r.req.Norms = r.k, r.extra, r.o.Rule == CoCa && r.o.Beam > 1
	if len(forced) > 0 {
		r.req.K, r.req.Extra = 0, nil
	}
	c, err := r.s.Step(r.req)
	if err != nil {
		return c, err
	}
	if len(forced) > 0 {
		return r.force(n, forced), nil
	}
	if want := n * r.k; len(c.IDs) != want || len(c.LogProbs) != want {
		return c, fmt.Errorf("stepper gave %d ids and %d log-probabilities, want %d rows of %d",
			len(c.IDs), len(c.LogProbs), n, r.k)
	}
	if want := n * len(r.extra); len(c.Extra) != want {
		return c, fmt.Errorf("stepper gave %d log-probabilities of forced tokens, want %d for each of %d rows",
			len(c.Extra), len(r.extra), n)
	}
	if r.req.Norms && len(c.Norms) != n {
		return c, fmt.Errorf("stepper gave %d norms, want one for each of %d rows", len(c.Norms), n)
	}
	for i, l := range c.LogProbs {
		if c.IDs[i] >= 0 && math.IsNaN(float64(l)) {
			return c, fmt.Errorf("stepper gave %w of token %d in row %d", ErrNaN, c.IDs[i], i/r.k)
		}
	}
	return c, nil
}

// force is the answer of a step whose n rows must choose one of some tokens, all of them without a cost.
func (r *runner) force(n int, tokens []int32) Candidates {
	tokens = slices.DeleteFunc(slices.Sorted(slices.Values(tokens)), func(id int32) bool {
		return slices.Contains(r.o.Processors.Suppress, id) // which is applied behind the force
	})
	c := Candidates{IDs: make([]int32, n*r.k), LogProbs: make([]float32, n*r.k), Extra: make([]float32, n*len(r.extra))}
	for i := range c.IDs {
		c.IDs[i] = -1
		if at := i % r.k; at < len(tokens) {
			c.IDs[i] = tokens[at]
		}
	}
	for i := range c.Extra {
		c.Extra[i] = float32(math.Inf(-1))
	}
	return c
}

// collect hands each image its candidates, takes the results of those that are finished, and makes the next request of
// the others.
func (r *runner) collect(c Candidates, rows int, out [][]Hypothesis) {
	n := rows * r.k // candidates an image
	kept := r.alive[:0]
	r.req.Parents, r.req.Tokens = r.req.Parents[:0], r.req.Tokens[:0]
	r.bans.reset()
	for i, a := range r.alive {
		v := view{ids: c.IDs[i*n : (i+1)*n], logs: c.LogProbs[i*n : (i+1)*n], k: r.k}
		if e := rows * len(r.extra); e > 0 {
			v.extra = c.Extra[i*e : (i+1)*e]
		}
		if r.req.Norms {
			v.norms = c.Norms[i*rows : (i+1)*rows]
		}
		if !a.advance(v) {
			out[a.image] = a.hypotheses()
			continue
		}
		kept = append(kept, a)
		r.rows = a.next(r.rows[:0])
		for j := range r.width {
			w := r.rows[min(j, len(r.rows)-1)] // an image with fewer rows repeats its last one, and nobody reads the answer
			r.req.Parents = append(r.req.Parents, int32(i*rows)+w.parent)
			r.req.Tokens = append(r.req.Tokens, w.token)
			r.bans.add(w.tokens)
		}
	}
	r.alive = kept
	r.req.Ban = r.bans.rows
}

func fill(s []int32, v int32) {
	for i := range s {
		s[i] = v
	}
}
