package torch

// #include "kernels/bridge.h"
import "C"

import "unsafe"

// This file: what layers that learn do between their products, on the CPU in one pass each. Backward goes through all
// of it. Their dropout draws the same numbers as Dropout does.

// Fuses says whether the ops of this file are for x: on the CPU in float32 or bfloat16, where autocast is not to
// float16.
func Fuses(x *Tensor) bool {
	if d, on := AutocastDType(CPU); on && d != BFloat16 {
		return false
	}
	d := x.DType()
	return x.Device() == CPU && (d == Float32 || d == BFloat16)
}

// nextMask is the key of the next dropout with probability p; p = 0 draws nothing.
func nextMask(op string, p float64) C.uint64_t {
	if p < 0 || p >= 1 {
		Fail(op, "probability %g, want 0 to less than 1", p)
	}
	if p > 0 {
		maskKey += 0xd1342543de82ef95
	}
	return C.uint64_t(maskKey)
}

// AddNorm gives sum = x + dropout(h), and norm = LayerNorm(sum): x [N, C] in float32, h [N, C] in float32 or bfloat16,
// weight and bias [C]. sum is in float32; so is norm, but under autocast in bfloat16, as the products after it want it.
// p = 0 drops nothing.
func AddNorm(x, h *Tensor, p float64, weight, bias *Tensor, eps float64) (sum, norm *Tensor) {
	const op = "add and norm"
	_, half := AutocastDType(CPU)
	e := C.ct_residual(slot(), secondSlot(), x.cHandle(), h.cHandle(), weight.cHandle(), bias.cHandle(), C.double(eps),
		C.double(p), nextMask(op, p), cint(half))
	checkBridge(op, e, x, h, weight, bias)
	a, b := slots[0], slots[1]
	slots[0], slots[1] = nil, nil
	return wrap(a), wrap(b)
}

// Texts are where the tokens of some texts stand among N rows: text b has those from starts[b] to starts[b+1].
type Texts struct {
	Starts *Tensor // [texts + 1] int64 on the CPU, from 0 to N
	Length int64   // of the longest, or more
	Seen   *Tensor // [texts, Length] bool: the tokens that may be looked at; nil for all
}

// CausalAttention lets each token look at itself and at those before it in its text: queries, keys and values qkv
// [N, 3C] of heads heads give [N, C]. The weights are dropped with probability p, by the numbers that Dropout draws for
// weights [texts, heads, Length, Length].
func CausalAttention(qkv *Tensor, t Texts, heads int64, p float64) *Tensor {
	const op = "causal attention"
	return fromBridge(op, C.ct_causal_attention(slot(), qkv.cHandle(), t.Starts.cHandle(), optionalC(t.Seen),
		C.int64_t(t.Length), C.int64_t(heads), C.double(p), nextMask(op, p)), qkv, t.Starts, t.Seen)
}

// CrossAttention lets the tokens of each image look at all positions of its memory: queries q [N, C] and keys and
// values kv [G, P, 2C], in one type, of heads heads give [N, C]. Image g has the tokens from starts[g] to starts[g+1].
// The weights are dropped with probability p, by the numbers that Dropout draws for weights [N, heads, P].
func CrossAttention(q, kv *Tensor, starts []int64, heads int64, p float64) *Tensor {
	const op = "cross-attention"
	if kv.Rank() != 3 || int64(len(starts)) != kv.Dim(0)+1 {
		Fail(op, "%d starts for keys and values of shape %v, want one an image and one more", len(starts), kv.Shape())
	}
	return fromBridge(op, C.ct_cross_attention(slot(), q.cHandle(), kv.cHandle(), dims(starts), C.int64_t(heads),
		C.double(p), nextMask(op, p)), q, kv)
}

// DrawTokens draws a token from the softmax of each of some rows of logits [R, V] (float32, on the CPU): the one in
// whose share of the sum of all e^(logit/temperature) at falls, from 0 to less than 1.
func DrawTokens(logits *Tensor, rows []int64, at []float32, temperature float64) []int32 {
	const op = "draw tokens"
	if len(rows) != len(at) {
		Fail(op, "%d rows and %d numbers", len(rows), len(at))
	}
	ids := make([]int32, len(rows))
	checkBridge(op, C.ct_draw_tokens(logits.cHandle(), dims(rows), (*C.float)(unsafe.SliceData(at)), C.int(len(rows)),
		C.double(1/temperature), (*C.int32_t)(unsafe.SliceData(ids))), logits)
	return ids
}

// ZeroGradients is t. Backward through it gives leaves, whose part in t is nothing by their place in a formula,
// gradients of 0: an optimizer then treats them as all others.
func (t *Tensor) ZeroGradients(leaves ...*Tensor) *Tensor {
	e := C.ct_zero_gradients(slot(), t.cHandle(), list(handles(leaves)), C.int(len(leaves)))
	return fromBridge("zero gradients", e, t)
}

// Fold is a convolution with the norm behind it in its weight and its bias, both in float32.
type Fold struct{ Weight, Bias *Tensor }

// HasBottleneck says whether Bottleneck is for x [B, H, W, C] and a convolution of single channels with a square kernel
// and a stride.
func HasBottleneck(x *Tensor, kernel, stride int64) bool {
	return Fuses(x) && (kernel == 3 || kernel == 5) && (stride == 1 || stride == 2)
}

// Bottleneck is a mobile inverted bottleneck on a map x [B, H, W, C], whose channels lie together: widen by a weight
// [M, C] with ReLU6, nil for none; convolve each channel by itself, weight [M, 1, k, k], with SAME padding and ReLU6;
// narrow by a weight [O, M]. skip adds x. It gives [B, ⌈H/stride⌉, ⌈W/stride⌉, O] in float32, or under autocast in
// bfloat16.
func Bottleneck(x *Tensor, widen *Fold, depth, narrow Fold, stride int64, skip bool) *Tensor {
	_, half := AutocastDType(CPU)
	var w Fold
	if widen != nil {
		w = *widen
	}
	e := C.ct_bottleneck(slot(), x.cHandle(), optionalC(w.Weight), optionalC(w.Bias), depth.Weight.cHandle(),
		depth.Bias.cHandle(), narrow.Weight.cHandle(), narrow.Bias.cHandle(), C.int64_t(stride), cint(skip), cint(half))
	return fromBridge("bottleneck", e, x, w.Weight, w.Bias, depth.Weight, depth.Bias, narrow.Weight, narrow.Bias)
}
