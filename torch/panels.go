package torch

// #include "kernels/bridge.h"
import "C"

import "unsafe"

// Panels is a weight laid out for the products of this package's own kernels: float32, bfloat16, or int8 with a scale
// for each output. Its products are act(norm(x) Wᵀ + bias) + residual in one go, with every row's result the same bits
// whatever rows stand beside it.
//
// With int8 a row of x is quantized when it comes, with a scale and a zero of its own: to 8 bits without sign, over its
// range. Panels are for inference on the CPU. They belong to whoever made them; Free releases them.
type Panels struct {
	c       unsafe.Pointer
	In, Out int64
	kind    DType
}

// HasPanels says whether this processor has fast kernels for weights of type d: with AVX2 or AVX-512 for all three
// types. Without them int8 works too, by plain loops; the other types do not.
func HasPanels(d DType) bool { return C.ct_panels_fast(C.int(d)) != 0 }

// NewPanels lays out weight [out, in], of any floating-point type and any strides, in type d: Float32, BFloat16 or
// Int8.
func NewPanels(weight *Tensor, d DType) *Panels {
	var c unsafe.Pointer
	checkBridge("pack panels", C.ct_panels_pack(&c, weight.cHandle(), C.int(d)), weight)
	live.Add(1)
	return &Panels{c: c, In: weight.Dim(1), Out: weight.Dim(0), kind: d}
}

// Free releases p. Freeing nil or freed panels does nothing.
func (p *Panels) Free() {
	if p == nil || p.c == nil {
		return
	}
	C.ct_panels_free(p.c)
	p.c = nil
	live.Add(-1)
}

// Fused is what a product does beside multiplying. The zero value is nothing, with a result in float32.
type Fused struct {
	NormWeight, NormBias *Tensor // [in] in float32: LayerNorm of x with Epsilon; nil for none
	Epsilon              float64
	Bias                 *Tensor // [out] in float32, or nil
	Act                  Activation
	Residual             *Tensor // [..., out] in float32, added last; or nil
	BFloat16             bool    // the result's type, instead of float32
}

// Product maps x [..., in] (float32 or bfloat16, on the CPU) to [..., out].
func (p *Panels) Product(x *Tensor, f Fused) *Tensor {
	if p.c == nil {
		Fail("panels", "use of panels after they were freed")
	}
	if f.Act == ReLU6 {
		Fail("panels", "activation ReLU6, want another")
	}
	d := Float32
	if f.BFloat16 {
		d = BFloat16
	}
	return fromBridge(
		"panels",
		C.ct_panels_product(
			slot(),
			p.c,
			x.cHandle(),
			optionalC(f.NormWeight),
			optionalC(f.NormBias),
			C.double(f.Epsilon),
			optionalC(f.Bias),
			C.int(f.Act),
			optionalC(f.Residual),
			C.int(d),
		),
		x,
		f.NormWeight,
		f.Bias,
		f.Residual,
	)
}

// TopKLogProbs is package torch's TopKLogProbs of the product of x [rows, in] with f's norm, at temperature 1, without
// ever holding the product: the panels' outputs are ranked as they come. Of f, only the norm may be set.
func (p *Panels) TopKLogProbs(x *Tensor, f Fused, k int, ban [][]int32) (ids []int32, logProbs []float32) {
	if !HasPanels(p.kind) {
		return TopKLogProbs(p.Product(x, f), k, 1, ban)
	}
	if p.c == nil || f.Bias != nil || f.Residual != nil || f.Act != NoActivation {
		Fail("panels topk", "freed panels, or more to fuse than a norm")
	}
	rows := int(x.Dim(0))
	ids, logProbs = make([]int32, rows*k), make([]float32, rows*k)
	if rows == 0 {
		return ids, logProbs
	}
	flat, ends := flatten(ban, rows)
	checkBridge(
		"panels topk",
		C.ct_panels_topk(
			p.c,
			x.cHandle(),
			optionalC(f.NormWeight),
			optionalC(f.NormBias),
			C.double(f.Epsilon),
			C.int(k),
			(*C.int32_t)(
				unsafe.SliceData(flat),
			),
			dims(ends),
			(*C.int32_t)(unsafe.SliceData(ids)),
			(*C.float)(unsafe.SliceData(logProbs)),
		),
		x,
	)
	return ids, logProbs
}

// HeadAttention lets the tokens of each image look at each other: qkv [B, T, 3C] (float32 or bfloat16), queries, keys
// and values of heads heads next to each other, to [B, T, C] in the same type. A bias [N, heads, T, T] (float32) is
// added to the logits, to those of image b that of number b % N; nil is none. Only where HasPanels(Float32); for
// inference.
func HeadAttention(qkv *Tensor, heads int64, bias *Tensor) *Tensor {
	c := C.ct_panels_attention(slot(), qkv.cHandle(), C.int64_t(heads), optionalC(bias))
	return fromBridge("attention", c, qkv)
}

// HandOver lets oneDNN make the products of int8 panels from so many rows on, for processors where it knows
// instructions that the panels do not have; 0 for never, as at the start. It gives what was set before. The results are
// the same bits.
func HandOver(rows int64) (before int64) {
	before, handOver = handOver, rows
	C.ct_panels_handover(C.int64_t(rows))
	return before
}

// handOver is what HandOver has set. Only the torch thread uses it.
var handOver int64
