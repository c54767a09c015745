package kvcache

import "captioner/torch"

// Choose makes a step and gives the k best next tokens of each row but for those that ban lists, in the caller's order:
// [rows*k]. advance gives the hidden states of the step's tokens [R, C], and topK the best tokens of each, both in the
// order of the cache.
func (c *Cache) Choose(k int, ban [][]int32, advance func() (*torch.Tensor, error),
	topK func(x *torch.Tensor, ban [][]int32) ([]int32, []float32)) (ids []int32, logProbs []float32, err error) {
	torch.Scoped(func() {
		var x *torch.Tensor
		if x, err = advance(); err != nil {
			return
		}
		found, probs := topK(x, c.at.spread(ban))
		ids, logProbs = make([]int32, len(found)), make([]float32, len(probs))
		for r, row := range c.at.row {
			copy(ids[r*k:(r+1)*k], found[row*k:])
			copy(logProbs[r*k:(r+1)*k], probs[row*k:])
		}
	})
	return ids, logProbs, err
}

// spread brings what the caller's rows may not have into the order of the cache.
func (s *slots) spread(ban [][]int32) [][]int32 {
	if ban == nil {
		return nil
	}
	banned := make([][]int32, len(s.row))
	for r, row := range s.row {
		if r < len(ban) {
			banned[row] = ban[r]
		}
	}
	return banned
}

// Logits makes a step and gives the logits of the next token in the caller's order and scope: forward makes them of the
// hidden states that advance gives.
func (c *Cache) Logits(
	advance func() (*torch.Tensor, error), forward func(x *torch.Tensor) *torch.Tensor) (*torch.Tensor, error) {
	var err error
	out := torch.Tidy1(func() *torch.Tensor {
		var x *torch.Tensor
		if x, err = advance(); err != nil {
			return nil
		}
		index := make([]int64, len(c.at.row)) // from the order of the cache into the caller's
		for r, row := range c.at.row {
			index[r] = int64(row)
		}
		return forward(x).IndexSelect(0, torch.Upload(index, c.shape.Device))
	})
	return out, err
}
