package family

import (
	"slices"

	"captioner/models/decode"
	"captioner/torch"
)

// penalized is a Session whose tokens score less where their row already has them, as generate's repetition_penalty
// does it (transformers v4.57.1, RepetitionPenaltyLogitsProcessor): a score above 0 is divided by the penalty, one
// below is multiplied. Scores are logits for a greedy search, and log-probabilities, which are not made to sum to 1
// again, for a beam.
type penalized struct {
	session Session
	penalty float32
	greedy  bool
	rows    [][]int32 // what each row of the last step was fed
}

// Step feeds one token a row.
func (p *penalized) Step(r decode.StepRequest) (c decode.Candidates, err error) {
	rows := make([][]int32, len(r.Tokens))
	for i, token := range r.Tokens {
		if r.Parents != nil {
			rows[i] = slices.Clip(p.rows[r.Parents[i]])
		}
		rows[i] = append(rows[i], token)
	}
	p.rows = rows
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
			row := scores[i*vocabulary : (i+1)*vocabulary]
			p.lower(row, rows[i])
			for _, e := range r.Extra {
				c.Extra = append(c.Extra, row[e])
			}
		}
		if p.greedy {
			c.IDs, c.LogProbs = torch.TopKLogProbs(torch.FromSlice(scores, logits.Shape()...), r.K, 1, r.Ban)
			return
		}
		for i := range rows {
			var ban []int32
			if i < len(r.Ban) {
				ban = r.Ban[i]
			}
			ids, best := largest(scores[i*vocabulary:(i+1)*vocabulary], r.K, ban)
			c.IDs, c.LogProbs = append(c.IDs, ids...), append(c.LogProbs, best...)
		}
	})
	return c, err
}

// lower takes the penalty off the scores of the tokens that a row has.
func (p *penalized) lower(scores []float32, tokens []int32) {
	tokens = slices.Compact(slices.Sorted(slices.Values(tokens)))
	for _, t := range tokens {
		if scores[t] < 0 {
			scores[t] *= p.penalty
		} else {
			scores[t] /= p.penalty
		}
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
