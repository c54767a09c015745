// Package draw draws captions from a captioner that learns, a token at a time from the softmax of the whole vocabulary.
//
// The searches of package decode want the tokens of a row ranked, which takes as long as the model itself.
package draw

import (
	"math/rand/v2"
	"slices"

	"captioner/models/family"
	"captioner/torch"
)

// Caption is a caption that is drawn.
type Caption struct {
	Random   *rand.Rand // what draws its tokens
	Tokens   []int32    // with the prompt, without those that begin and end it
	Finished bool       // it has its end
	ended    bool       // it goes on no more: it has its end, or as many tokens as it may
}

// Rules are how captions are drawn.
type Rules struct {
	Begin       int32
	Ends        []int32 // tokens that end a caption, one or more
	Prompt      []int32 // tokens that every caption begins with
	Most        int     // tokens of a caption behind the prompt
	Temperature float64 // of the softmax
}

// Captions draws the tokens of the captions of some images, as many for each, which w begins from features [B, P, C].
func (r Rules) Captions(w family.Writer, features *torch.Tensor, live [][]Caption) (err error) {
	if len(live) == 0 {
		return nil
	}
	t := family.Texts{Images: len(live), Rows: len(live[0]), Length: len(r.Prompt) + r.Most}
	torch.NoGrad(func() {
		torch.Scoped(func() {
			var s family.Session
			if s, err = w.Start(features, t); err == nil {
				defer s.Free()
				err = r.draw(s, live)
			}
		})
	})
	return err
}

// draw is Captions for a session that has just begun with one row an image. An image whose captions have all ended
// leaves the batch. Of one that stays, captions that have ended are fed on, for each image has as many rows, and nobody
// reads what follows.
func (r Rules) draw(s family.Session, live [][]Caption) error {
	parents, tokens, err := r.feedPrompt(s, live)
	if err != nil {
		return err
	}
	for length := 1; len(live) > 0; length++ {
		open, rows := opened(live, length == 1)
		ids, err := r.step(s, parents, tokens, open, rows)
		if err != nil {
			return err
		}
		for j, c := range open {
			if c.Finished = slices.Contains(r.Ends, ids[j]); !c.Finished {
				c.Tokens = append(c.Tokens, ids[j])
			}
			c.ended = c.Finished || length == r.Most
		}
		live, parents, tokens = r.goOn(live, length == 1)
	}
	return nil
}

// feedPrompt feeds what stands before the first token that is drawn, but for the last of it, which it gives as the
// tokens of the next step, with the rows that these continue.
func (r Rules) feedPrompt(s family.Session, live [][]Caption) (parents, tokens []int32, err error) {
	for _, captions := range live {
		for k := range captions {
			captions[k].Tokens = slices.Clone(r.Prompt)
		}
	}
	tokens = slices.Repeat([]int32{r.Begin}, len(live))
	for _, token := range r.Prompt {
		torch.Scoped(func() { _, err = s.Logits(parents, tokens) })
		if err != nil {
			return nil, nil, err
		}
		parents = make([]int32, len(live))
		for i := range parents {
			parents[i], tokens[i] = int32(i), token
		}
	}
	return parents, tokens, nil
}

// opened lists the captions that have not ended, and the row that each is drawn from. first says that an image has one
// row.
func opened(live [][]Caption, first bool) (open []*Caption, rows []int64) {
	for i, captions := range live {
		for k := range captions {
			if c := &captions[k]; !c.ended {
				open, rows = append(open, c), append(rows, row(i, k, len(captions), first))
			}
		}
	}
	return open, rows
}

// row is that of caption k of image i, of n each.
func row(i, k, n int, first bool) int64 {
	if first {
		return int64(i)
	}
	return int64(i*n + k)
}

// goOn gives the images with captions that have not ended, the rows that all their captions continue, and the tokens
// that these are fed.
func (r Rules) goOn(live [][]Caption, first bool) (on [][]Caption, parents, tokens []int32) {
	for i, captions := range live {
		if !slices.ContainsFunc(captions, func(c Caption) bool { return !c.ended }) {
			continue
		}
		on = append(on, captions)
		for k, c := range captions {
			token := r.Ends[0]
			if !c.ended {
				token = c.Tokens[len(c.Tokens)-1]
			}
			parents, tokens = append(parents, int32(row(i, k, len(captions), first))), append(tokens, token)
		}
	}
	return on, parents, tokens
}

// step feeds a token a row, and draws the next token of each caption from its row.
func (r Rules) step(
	s family.Session, parents, tokens []int32, captions []*Caption, rows []int64,
) (ids []int32, err error) {
	at := make([]float32, len(rows))
	for i, c := range captions {
		at[i] = c.Random.Float32()
	}
	torch.Scoped(func() {
		var logits *torch.Tensor // [R, V]
		if logits, err = s.Logits(parents, tokens); err == nil {
			ids = r.from(logits, rows, at)
		}
	})
	return ids, err
}

// some is how many rows of probabilities are made at once, where there is no kernel for it.
const some = 64

// from gives for each of some rows of logits [R, V] the token in whose share of the sum of all probabilities at falls,
// from 0 to less than 1.
func (r Rules) from(logits *torch.Tensor, rows []int64, at []float32) (ids []int32) {
	if logits.Device() == torch.CPU && logits.DType() == torch.Float32 {
		return torch.DrawTokens(logits.Contiguous(), rows, at, r.Temperature)
	}
	for from := 0; from < len(rows); from += some {
		to := min(from+some, len(rows))
		torch.Scoped(func() { ids = append(ids, r.byOps(logits, rows[from:to], at[from:to])...) })
	}
	return ids
}

// byOps is from by libtorch's operators.
func (r Rules) byOps(logits *torch.Tensor, rows []int64, at []float32) []int32 {
	dev, last := logits.Device(), logits.Dim(1)-1
	x := logits.IndexSelect(0, torch.Upload(rows, dev))
	sums := x.MulScalar(1 / r.Temperature).Softmax(-1).Cumsum(-1)               // [rows, V]
	to := torch.Upload(at, dev, int64(len(at)), 1).Mul(sums.Narrow(1, last, 1)) // [rows, 1]
	below := sums.Le(to)                                                        // [rows, V]
	ids := make([]int32, len(rows))
	for i, n := range torch.Slice[int64](below.SumDim(1, false)) { // so many tokens are passed over
		ids[i] = int32(min(n, last))
	}
	return ids
}
