package decode

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"testing"
)

// fake is a language model whose next-token distribution is a function of the image and the tokens so far. It holds Run
// to the contract that StepRequest states.
type fake struct {
	t      testing.TB
	vocab  int
	ids    []int                                     // of the images
	logits func(image int, prefix []int32) []float64 // of all tokens; prefix begins with BOS
	rows   []fakeRow
	steps  int
	seen   []int // rows a step
}

type fakeRow struct {
	image  int // index into ids
	tokens []int32
}

func (f *fake) Step(r StepRequest) (Candidates, error) {
	f.steps++
	f.seen = append(f.seen, len(r.Tokens))
	var rows []fakeRow
	if r.Parents == nil {
		for i := range f.ids {
			rows = append(rows, fakeRow{i, []int32{r.Tokens[i]}})
		}
	} else {
		for i, p := range r.Parents {
			old := f.rows[p]
			rows = append(rows, fakeRow{old.image, append(slices.Clone(old.tokens), r.Tokens[i])})
		}
	}
	if err := f.check(rows, r); err != nil {
		f.t.Error(err)
	}
	f.rows = rows
	var c Candidates
	for i, row := range rows {
		ids, logs := f.best(row, r.K, ban(r, i))
		c.IDs, c.LogProbs = append(c.IDs, ids...), append(c.LogProbs, logs...)
		all := logSoftmax(f.logits(f.ids[row.image], row.tokens))
		for _, e := range r.Extra {
			c.Extra = append(c.Extra, float32(all[e]))
		}
	}
	return c, nil
}

func ban(r StepRequest, i int) []int32 {
	if i < len(r.Ban) {
		return r.Ban[i]
	}
	return nil
}

// check holds the rows to the contract: contiguous, equally many an image, images in order.
func (f *fake) check(rows []fakeRow, r StepRequest) error {
	if len(rows) != len(r.Tokens) {
		return fmt.Errorf("%d parents for %d tokens", len(rows), len(r.Tokens))
	}
	counts, last := map[int]int{}, -1
	for _, row := range rows {
		if row.image < last {
			return fmt.Errorf("image %d after image %d", row.image, last)
		}
		last = row.image
		counts[row.image]++
	}
	for image, n := range counts {
		if n != counts[last] {
			return fmt.Errorf("image %d has %d rows, image %d has %d", image, n, last, counts[last])
		}
	}
	return nil
}

func (f *fake) best(row fakeRow, k int, ban []int32) ([]int32, []float32) {
	all := logSoftmax(f.logits(f.ids[row.image], row.tokens))
	var order []int32
	for id := range all {
		if !slices.Contains(ban, int32(id)) {
			order = append(order, int32(id))
		}
	}
	slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(float32(all[b]), float32(all[a])) })
	ids, logs := make([]int32, k), make([]float32, k)
	for i := range k {
		if ids[i] = -1; i < len(order) {
			ids[i], logs[i] = order[i], float32(all[order[i]])
		}
	}
	return ids, logs
}

func logSoftmax(x []float64) []float64 {
	sum := 0.0
	for _, v := range x {
		sum += math.Exp(v)
	}
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = v - math.Log(sum)
	}
	return out
}

// noise is a distribution that depends on image and prefix in no regular way. Coarse logits, so that ties occur.
func noise(vocab int, levels float64) func(int, []int32) []float64 {
	return func(image int, prefix []int32) []float64 {
		h := mix(uint64(image))
		for _, t := range prefix {
			h = mix(h ^ uint64(t+1))
		}
		out := make([]float64, vocab)
		for i := range out {
			h = mix(h)
			out[i] = math.Floor(float64(h>>11)/(1<<53)*levels) / levels * 4
		}
		return out
	}
}

func newFake(t testing.TB, vocab int, images ...int) *fake {
	return &fake{t: t, vocab: vocab, ids: images, logits: noise(vocab, 64)}
}

// small are options over a vocabulary whose end token is 0.
func small() Options {
	o := DefaultOptions()
	o.BOS, o.EOS, o.MaxLen, o.NoRepeatNGram = 0, 0, 5, 0
	return o
}

func mustRun(t testing.TB, f *fake, o Options) [][]Hypothesis {
	t.Helper()
	out, err := Run(f, len(f.ids), o)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
