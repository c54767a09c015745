package kvcache

import (
	"math"

	"captioner/torch"
)

// Attend is softmax(q kᵀ/√D) v: q [R, H, D], kv [2, G, H, S, D], of which group g serves the rows g R/G …: [R, C].
// fused takes our own kernel, which is for the CPU and for q in float32 or bfloat16; its sums do not depend on the
// other rows.
func Attend(q, kv *torch.Tensor, fused bool) *torch.Tensor {
	k, v, scale := kv.Select(0, 0), kv.Select(0, 1), 1/math.Sqrt(float64(q.Dim(2)))
	if fused {
		return torch.StepAttention(q, k, v, scale)
	}
	r, g := q.Dim(0), k.Dim(0)
	x := q.To(torch.Float32).MulScalar(scale).Reshape(g, r/g, q.Dim(1), q.Dim(2)).Transpose(1, 2) // [G, H, R/G, D]
	y := x.Matmul(k.Transpose(-1, -2)).Softmax(-1).Matmul(v)                                      // [G, H, R/G, D]
	return y.Transpose(1, 2).Reshape(r, q.Dim(1)*q.Dim(2)).To(q.DType())
}
