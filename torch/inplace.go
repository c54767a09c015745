package torch

// #include "kernels/bridge.h"
import "C"

import "unsafe"

// This file: ops that write into a tensor, gradients, and ops on many tensors at once. They return no new handle.

// Copy writes src, converted and broadcast, into t.
func (t *Tensor) Copy(src *Tensor) {
	checkBridge("copy", C.ct_copy(t.cHandle(), src.cHandle()), t, src)
}

// IndexCopyRows writes the rows of src into rows index (int64) of t.
func (t *Tensor) IndexCopyRows(index, src *Tensor) {
	checkBridge("index copy rows", C.ct_index_copy_rows(t.cHandle(), index.cHandle(), src.cHandle()), t, index, src)
}

// ---- gradients

// RequireGrad marks t as a leaf whose gradient Backward computes, or not. It returns t.
func (t *Tensor) RequireGrad(on bool) *Tensor {
	checkBridge("require grad", C.ct_requires_grad(t.cHandle(), cint(on)), t)
	return t
}

// Backward adds the gradient of the scalar t to every leaf that asked for one, and drops the graph.
func (t *Tensor) Backward() { checkBridge("backward", C.ct_backward(t.cHandle()), t) }

// Grad is t's gradient, sharing its memory; nil where there is none.
func (t *Tensor) Grad() *Tensor {
	checkBridge("grad", C.ct_grad(slot(), t.cHandle()), t)
	c := slots[0]
	slots[0] = nil
	if c == nil {
		return nil
	}
	return wrap(c)
}

// ClearGrad drops t's gradient.
func (t *Tensor) ClearGrad() { checkBridge("clear grad", C.ct_clear_grad(t.cHandle()), t) }

// ---- many tensors at once

// AdamW is one fused step of Loshchilov and Hutter's AdamW on params: grads, m and v have their shapes, steps are
// scalars (float32) counted up by the call. gradScale and foundInf (scalars, or nil) come from a gradient scaler.
func AdamW(params, grads, m, v, steps []*Tensor, lr, beta1, beta2, decay, eps float64, gradScale, foundInf *Tensor) {
	if len(params) == 0 {
		return
	}
	checkBridge(
		"adamw",
		C.ct_fused_adamw(
			list(handles(params)),
			list(handles(grads)),
			list(handles(m)),
			list(handles(v)),
			list(handles(steps)),
			C.int(
				len(params),
			),
			C.double(lr),
			C.double(beta1),
			C.double(beta2),
			C.double(decay),
			C.double(eps),
			optionalC(gradScale),
			optionalC(foundInf),
		),
		params...)
}

// GlobalNorm is the 2-norm of all ts together, a scalar.
func GlobalNorm(ts []*Tensor) *Tensor {
	return fromBridge("global norm", C.ct_foreach_norm(slot(), list(handles(ts)), C.int(len(ts))), ts...)
}

// ScaleAll multiplies every tensor by s in place.
func ScaleAll(ts []*Tensor, s float64) {
	checkBridge("scale all", C.ct_foreach_mul_scalar(list(handles(ts)), C.int(len(ts)), C.double(s)), ts...)
}

// LerpAll moves every ts[i] towards to[i] by the share w, in place.
func LerpAll(ts, to []*Tensor, w float64) {
	checkBridge("lerp all", C.ct_foreach_lerp(list(handles(ts)), list(handles(to)), C.int(len(ts)), C.double(w)), ts...)
}

// UnscaleAll multiplies grads by invScale and sets foundInf to 1 where one of them is not finite (both scalars,
// float32).
func UnscaleAll(grads []*Tensor, foundInf, invScale *Tensor) {
	checkBridge(
		"unscale",
		C.ct_amp_unscale(list(handles(grads)), C.int(len(grads)), foundInf.cHandle(), invScale.cHandle()),
		grads...)
}

// UpdateScale grows or backs off a loss scale in place (scale float32, tracker int32, foundInf float32: scalars).
func UpdateScale(scale, tracker, foundInf *Tensor, growth, backoff float64, interval int64) {
	checkBridge(
		"update scale",
		C.ct_amp_update_scale(scale.cHandle(), tracker.cHandle(), foundInf.cHandle(), C.double(growth), C.double(backoff),
			C.int64_t(interval)),
		scale,
	)
}

// ---- decoding

// StepAttention is softmax(q kᵀ scale) v for generating texts on the CPU, without gradients: q [R, H, D] (float32 or
// bfloat16), k and v [G, H, S, D] (float32), G dividing R; row r looks at group r/(R/G). It gives [R, H*D] in q's type.
// The last dimensions must have no gaps; the others may have any. A row's result does not depend on the other rows.
func StepAttention(q, k, v *Tensor, scale float64) *Tensor {
	return fromBridge(
		"step attention",
		C.ct_step_attention(slot(), q.cHandle(), k.cHandle(), v.cHandle(), C.double(scale)),
		q,
		k,
		v,
	)
}

// StepAttentionAfter is StepAttention over two stretches of positions, of which the softmax makes one: first those of k
// and v [G, H, P, D], then those that each row has alone, ownK and ownV [R, H, S, D].
func StepAttentionAfter(q, k, v, ownK, ownV *Tensor, scale float64) *Tensor {
	return fromBridge(
		"step attention",
		C.ct_step_attention_after(
			slot(), q.cHandle(), k.cHandle(), v.cHandle(), ownK.cHandle(), ownV.cHandle(), C.double(scale),
		),
		q, k, v, ownK, ownV,
	)
}

// TopKLogProbs gives for each row of logits [R, V] its k best columns, best first, with their log-probabilities under
// the softmax of the whole row times invTemperature; equal values: the lower column first. ban lists columns that a row
// must not return; they still count in the softmax. A row with fewer than k columns left ends in ids of -1 and
// log-probabilities of -Inf. The results are [R*k], on the host. Logits on a GPU are ranked there; of equal values at
// the end of the k best, any may be taken then.
func TopKLogProbs(logits *Tensor, k int, invTemperature float64, ban [][]int32) (ids []int32, logProbs []float32) {
	rows := int(logits.Dim(0))
	ids, logProbs = make([]int32, rows*k), make([]float32, rows*k)
	if rows == 0 {
		return ids, logProbs
	}
	flat, ends := flatten(ban, rows)
	l, t, n := logits.cHandle(), C.double(invTemperature), C.int(k)
	b, e := (*C.int32_t)(unsafe.SliceData(flat)), dims(ends)
	i, p := (*C.int32_t)(unsafe.SliceData(ids)), (*C.float)(unsafe.SliceData(logProbs))
	if logits.Device().IsCUDA() {
		checkBridge("topk", C.ct_topk_gpu(l, t, n, b, e, i, p), logits)
	} else {
		checkBridge("topk", C.ct_topk_logprobs(l, t, n, b, e, i, p), logits)
	}
	return ids, logProbs
}

// flatten lays the banned columns of rows end to end, and says where each row's end; nil where nothing is banned.
func flatten(ban [][]int32, rows int) (flat []int32, ends []int64) {
	if ban == nil {
		return nil, nil
	}
	ends = make([]int64, rows)
	for r := range rows {
		if r < len(ban) {
			flat = append(flat, ban[r]...)
		}
		ends[r] = int64(len(flat))
	}
	return flat, ends
}
