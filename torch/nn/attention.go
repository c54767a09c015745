package nn

import (
	"math"

	"captioner/torch"
)

// SelfAttention lets tokens look at each other: qkv [B, T, 3C] are queries, keys and values end to end, and what comes
// out is [B, T, C] with the heads next to each other. mask [T, T] is added to the logits, or nil.
func SelfAttention(qkv *torch.Tensor, heads int64, mask *torch.Tensor) *torch.Tensor {
	b, t, c := qkv.Dim(0), qkv.Dim(1), qkv.Dim(2)/3
	x := qkv.View(b, t, 3, heads, c/heads).Permute(2, 0, 3, 1, 4) // [B, T, 3C] -> [3, B, H, T, D]
	return JoinHeads(Attend(x.Select(0, 0), x.Select(0, 1), x.Select(0, 2), mask))
}

// Attend is softmax(q kᵀ/√D + mask) v: [B, H, T, D] by plain products, whose backward is quicker than that of
// libtorch's fused kernel.
func Attend(q, k, v, mask *torch.Tensor) *torch.Tensor {
	of := func(torch.DType) *torch.Tensor { return mask }
	if mask == nil {
		of = nil
	}
	return AttendDropped(q, k, v, of, func(w *torch.Tensor) *torch.Tensor { return w })
}

// AttendDropped is Attend while a model learns: drop takes away some of the weights, which come out of the softmax. The
// mask is asked for in the type of the scores; nil is none.
func AttendDropped(
	q, k, v *torch.Tensor, mask func(torch.DType) *torch.Tensor, drop func(*torch.Tensor) *torch.Tensor,
) *torch.Tensor {
	w := q.MulScalar(1 / math.Sqrt(float64(q.Dim(-1)))).Matmul(k.Transpose(-1, -2)) // [B, H, T, S]
	if mask != nil {
		w = w.Add(mask(w.DType()))
	}
	return drop(w.Softmax(-1)).Matmul(v)
}

// JoinHeads puts the heads next to each other: [B, H, T, D] -> [B, T, C].
func JoinHeads(x *torch.Tensor) *torch.Tensor { return x.Transpose(1, 2).Flatten(2, 3) }

// HeadAttention is SelfAttention for inference, by our own kernel where this processor has it. qkv is in float32 or
// bfloat16, and so is what comes out. A bias [N, H, T, T] in float32 is added to the logits: to those of number b of
// the batch that of number b % N. Nil is none.
func HeadAttention(qkv *torch.Tensor, heads int64, bias *torch.Tensor) *torch.Tensor {
	if qkv.Device() == torch.CPU && torch.HasPanels(torch.Float32) {
		return torch.HeadAttention(qkv, heads, bias)
	}
	b, t, c := qkv.Dim(0), qkv.Dim(1), qkv.Dim(2)/3
	x := qkv.View(b, t, 3, heads, c/heads).Permute(2, 0, 3, 1, 4) // [B, T, 3C] -> [3, B, H, T, D]
	y := biased(x, bias)
	return y.Transpose(1, 2).Reshape(b, t, c) // [B, H, T, D] -> [B, T, C]
}

// biased is attention of x [3, B, H, T, D] by libtorch's kernel, as often as the bias has room for: [B, H, T, D].
func biased(x, bias *torch.Tensor) *torch.Tensor {
	b := x.Dim(1)
	n := b
	if bias != nil {
		bias = bias.To(x.DType())
		if n = bias.Dim(0); n == 1 {
			n, bias = b, bias.Expand(b, -1, -1, -1)
		}
	}
	var parts []*torch.Tensor
	for from := int64(0); from < b; from += n {
		part := func(i int64) *torch.Tensor { return x.Select(0, i).Narrow(0, from, n) }
		parts = append(parts, torch.Attention(part(0), part(1), part(2), bias, 0, false, 0))
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return torch.Cat(0, parts...)
}
