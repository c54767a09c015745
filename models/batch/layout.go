package batch

import "captioner/torch"

// Padded puts what belongs to the tokens, [N, X], in its position of its row: [B T, X]. What is padding is 0, and only
// padding can see it.
func (b *Texts) Padded(x *torch.Tensor) *torch.Tensor {
	if b.Index == nil {
		return x
	}
	return torch.Zeros(x.DType(), x.Device(), b.Rows*b.Len, x.Dim(1)).IndexCopy(0, b.Index, x)
}

// Packed is the way back from Padded.
func (b *Texts) Packed(x *torch.Tensor) *torch.Tensor {
	if b.Index == nil {
		return x
	}
	return x.IndexSelect(0, b.Index)
}

// away is added to the score of what a token may not look at. It is finite in every type, so that a token that may look
// nowhere gives no NaN.
const away = -30000

// Causal is the mask of n positions of which each looks at itself and at those before it, [n, n] in float32: 0 there,
// and a large negative number elsewhere.
func Causal(n int64, dev torch.Device) *torch.Tensor {
	return torch.Full(away, torch.Float32, dev, n, n).Triu(1)
}

// Causal is what is added to the scores of self-attention, in type d: 0 where a token may look, and a large negative
// number elsewhere, [T, T] or, where some tokens are hidden, [B, 1, T, T].
func (b *Texts) Causal(d torch.DType) *torch.Tensor {
	mask := Causal(b.Len, b.Tokens.Device()) // [T, T]
	if b.Mask != nil {
		hidden := b.Mask.To(torch.Float32).AddScalar(-1).MulScalar(-away) // [B, T]: 0 or away
		mask = mask.Add(hidden.View(b.Rows, 1, 1, b.Len))                 // [B, 1, T, T]
	}
	return mask.To(d)
}

// Spread gives each token of a packed batch the value of its row, [N] in float32; tokens that only fill get 0.
func (b *Texts) Spread(values []float32) *torch.Tensor {
	if int64(len(values)) != b.Rows {
		torch.Fail("spread", "%d values for %d rows", len(values), b.Rows)
	}
	v := torch.Upload(values, b.Tokens.Device(), b.Rows, 1).Expand(b.Rows, b.Len).Reshape(-1) // [B T]
	if b.Index != nil {
		v = v.IndexSelect(0, b.Index)
	}
	return v.MaskedFill(b.Targets.EqScalar(Ignore), 0)
}

// Loss is the mean cross-entropy of logits [N, V] against the batch's targets, without those that are Ignore.
// Smoothing is the share of the target that is spread over the vocabulary.
func (b *Texts) Loss(logits *torch.Tensor, smoothing float64) *torch.Tensor {
	return torch.CrossEntropy(logits, b.Targets, torch.Mean, Ignore, smoothing)
}

// After leaves the first n targets of each row out of the loss: those of a prompt, which texts are learned behind. Each
// row has more than n.
func (b *Texts) After(n int) {
	if n == 0 {
		return
	}
	for i := range n {
		b.Targets = b.Targets.MaskedFill(b.Positions.EqScalar(float64(i)), Ignore)
	}
	b.Count -= n * int(b.Rows)
}
