package family

import (
	"math"
	"slices"

	"captioner/models/decode"
	"captioner/torch"
)

// processed is a Session whose scores are changed as generate's logits processors change them, in their order
// (transformers v4.57.1, generation/logits_process.py): sequence_bias, encoder_repetition_penalty, repetition_penalty,
// then what is banned, exponential_decay_length_penalty and renormalize_logits. Scores are logits for a greedy search
// and for a draw, and log-probabilities, which are not made to sum to 1 again, for a beam.
type processed struct {
	session Session
	o       *decode.Options
	greedy  bool
	read    []int32   // ascending, each once: for encoder_repetition_penalty
	rows    [][]int32 // the context of each row of the last step
	images  []int     // whose rows these are
}

// newProcessed is nil where o changes no scores.
func newProcessed(s Session, o *decode.Options) *processed {
	if p := o.RepetitionPenalty; (p == 0 || p == 1) && o.Processors.Scores.None() {
		return nil
	}
	p := &processed{session: s, o: o, greedy: o.Beam == 1 || o.Sample}
	if e := o.Processors.EncoderRepetition; e != 0 && e != 1 {
		p.read = slices.Compact(slices.Sorted(slices.Values(o.WhatIsRead())))
	}
	return p
}

// Step feeds one token a row.
func (p *processed) Step(r decode.StepRequest) (c decode.Candidates, err error) {
	rows, images := make([][]int32, len(r.Tokens)), make([]int, len(r.Tokens))
	for i, token := range r.Tokens {
		images[i] = i
		if r.Parents != nil {
			rows[i], images[i] = slices.Clip(p.rows[r.Parents[i]]), p.images[r.Parents[i]]
		}
		rows[i] = append(rows[i], token)
	}
	p.rows, p.images = rows, images
	torch.Scoped(func() {
		var logits *torch.Tensor // [R, V]
		if logits, err = p.session.Logits(r.Parents, r.Tokens); err != nil || r.K == 0 {
			return
		}
		if !p.greedy {
			logits = logits.LogSoftmax(-1)
		}
		scores, vocabulary := torch.Slice[float32](logits), int(logits.Dim(1))
		for i := range rows {
			var ban []int32
			if i < len(r.Ban) {
				ban = r.Ban[i]
			}
			row := scores[i*vocabulary : (i+1)*vocabulary]
			p.process(row, rows[i], ban, i == 0 || images[i] != images[i-1])
			for _, e := range r.Extra {
				c.Extra = append(c.Extra, row[e])
			}
			if !p.greedy {
				ids, best := largest(row, r.K, ban)
				c.IDs, c.LogProbs = append(c.IDs, ids...), append(c.LogProbs, best...)
			}
		}
		if p.greedy {
			c.IDs, c.LogProbs = torch.TopKLogProbs(torch.FromSlice(scores, logits.Shape()...), r.K, 1, r.Ban)
		}
	})
	return c, err
}

// process changes the scores of one row. Of the rows of an image encoder_repetition_penalty is for the first alone, as
// generate has it.
func (p *processed) process(scores []float32, context, ban []int32, first bool) {
	s := &p.o.Processors.Scores
	for _, b := range s.Bias {
		if n := len(b.Tokens) - 1; n == 0 || n < len(context) && slices.Equal(context[len(context)-n:], b.Tokens[:n]) {
			scores[b.Tokens[n]] += b.Add
		}
	}
	if e := s.EncoderRepetition; e != 0 && e != 1 && first {
		penalize(scores, p.read, float32(1/e))
	}
	if r := p.o.RepetitionPenalty; r != 0 && r != 1 {
		penalize(scores, slices.Compact(slices.Sorted(slices.Values(context))), float32(r))
	}
	if d := s.Decay; d != nil {
		p.decay(scores, *d, len(context)-1-len(p.o.Prompt), ban)
	}
	if s.Renormalize && !p.greedy {
		renormalize(scores, ban)
	}
}

// penalize makes tokens less likely: a score above 0 is divided by the penalty, one below is multiplied.
func penalize(scores []float32, tokens []int32, penalty float32) {
	for _, t := range tokens {
		if int(t) >= len(scores) {
			continue // what stands for an image need not be in the vocabulary
		}
		if scores[t] < 0 {
			scores[t] *= penalty
		} else {
			scores[t] /= penalty
		}
	}
}

// decay makes the end tokens likelier behind chosen tokens. Those that are banned stay so: differs from the reference,
// which makes NaN of them, and takes that for the best.
func (p *processed) decay(scores []float32, d decode.Decay, chosen int, ban []int32) {
	if chosen <= d.From {
		return
	}
	factor := float32(math.Pow(d.Factor, float64(chosen-d.From)) - 1)
	for _, end := range append([]int32{p.o.EOS}, p.o.Ends...) {
		if !slices.Contains(ban, end) {
			scores[end] += float32(math.Abs(float64(scores[end]))) * factor
		}
	}
}

// renormalize makes the log-probabilities of the tokens that are not banned those of a distribution again.
func renormalize(scores []float32, ban []int32) {
	out := make(map[int32]bool, len(ban))
	for _, id := range ban {
		out[id] = true
	}
	most, sum := math.Inf(-1), 0.0
	for id, s := range scores {
		if !out[int32(id)] {
			most = max(most, float64(s))
		}
	}
	for id, s := range scores {
		if !out[int32(id)] {
			sum += math.Exp(float64(s) - most)
		}
	}
	by := float32(most + math.Log(sum))
	for id := range scores {
		scores[id] -= by
	}
}

// largest gives the k tokens of the largest scores, largest first, ties by the lower token, without the banned ones.
// Where there are fewer, the rest are -1.
func largest(scores []float32, k int, ban []int32) (ids []int32, best []float32) {
	for id, s := range scores {
		if len(ids) == k && s <= best[k-1] || slices.Contains(ban, int32(id)) {
			continue
		}
		at := len(ids)
		for at > 0 && best[at-1] < s {
			at--
		}
		ids, best = slices.Insert(ids, at, int32(id)), slices.Insert(best, at, s)
		if len(ids) > k {
			ids, best = ids[:k], best[:k]
		}
	}
	for len(ids) < k {
		ids, best = append(ids, -1), append(best, 0)
	}
	return ids, best
}
