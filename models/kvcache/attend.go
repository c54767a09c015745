package kvcache

import (
	"math"

	"captioner/torch"
)

// Attend is softmax(q kᵀ/√D) v: q [R, H, D], kv [2, G, H, S, D], of which group g serves the rows g R/G …: [R, C].
// fused takes our own kernel, which is for the CPU and for q in float32 or bfloat16; its sums do not depend on the
// other rows. A GPU takes libtorch's fused kernel.
func Attend(q, kv *torch.Tensor, fused bool) *torch.Tensor {
	k, v, scale := kv.Select(0, 0), kv.Select(0, 1), 1/math.Sqrt(float64(q.Dim(2)))
	if fused {
		return torch.StepAttention(q, k, v, scale)
	}
	r, g := q.Dim(0), k.Dim(0)
	x := q.To(torch.Float32).Reshape(g, r/g, q.Dim(1), q.Dim(2)).Transpose(1, 2) // [G, H, R/G, D]
	var y *torch.Tensor                                                          // [G, H, R/G, D]
	if q.Device() != torch.CPU {
		y = torch.Attention(x, k, v, nil, 0, false, scale) // one kernel in the place of four
	} else {
		y = x.MulScalar(scale).Matmul(k.Transpose(-1, -2)).Softmax(-1).Matmul(v)
	}
	return y.Transpose(1, 2).Reshape(r, q.Dim(1)*q.Dim(2)).To(q.DType())
}

// AttendAfter is Attend over two stretches of positions, of which the softmax makes one: first those of shared [2, G,
// H, P, D], which all rows of an image have, then those of own [2, R, H, S, D].
func AttendAfter(q, shared, own *torch.Tensor, fused bool) *torch.Tensor {
	scale := 1 / math.Sqrt(float64(q.Dim(2)))
	if fused {
		return torch.StepAttentionAfter(q, shared.Select(0, 0), shared.Select(0, 1), own.Select(0, 0), own.Select(0, 1),
			scale)
	}
	r, g, h, size := q.Dim(0), shared.Dim(1), q.Dim(1), q.Dim(2)
	x := q.To(torch.Float32).MulScalar(scale)                                                    // [R, H, D]
	x1 := x.Reshape(g, r/g, h, size).Transpose(1, 2)                                             // [G, H, R/G, D]
	before := x1.Matmul(shared.Select(0, 0).Transpose(-1, -2)).Transpose(1, 2).Reshape(r, h, -1) // [R, H, P]
	now := x.Unsqueeze(2).Matmul(own.Select(0, 0).Transpose(-1, -2)).Squeeze(2)                  // [R, H, S]
	w := torch.Cat(2, before, now).Softmax(-1)                                                   // [R, H, P+S]
	p := shared.Dim(3)
	w1 := w.Narrow(2, 0, p).Reshape(g, r/g, h, p).Transpose(1, 2)                          // [G, H, R/G, P]
	y := w1.Matmul(shared.Select(0, 1)).Transpose(1, 2).Reshape(r, h, size)                // [R, H, D]
	y = y.Add(w.Narrow(2, p, own.Dim(3)).Unsqueeze(2).Matmul(own.Select(0, 1)).Squeeze(2)) // [R, H, D]
	return y.Reshape(r, h*size).To(q.DType())
}
