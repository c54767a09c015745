package torch

// #include "kernels/bridge.h"
import "C"

import lib "github.com/sugarme/gotch/libtch"

// This file: ops through libtch. Every op works on tensors of one device, returns a new tensor in the current scope,
// and fails as doc.go says.

func lbool(b bool) int32 {
	if b {
		return 1
	}
	return 0
}

// noDType is libtch's "no dtype given".
const noDType = -1

// ---- arithmetic; shapes broadcast

// Add is t + o.
func (t *Tensor) Add(o *Tensor) *Tensor {
	lib.AtgAdd(&slots[0], t.alive(), o.alive())
	return fromLibtch("add", t, o)
}

// Sub is t - o.
func (t *Tensor) Sub(o *Tensor) *Tensor {
	lib.AtgSub(&slots[0], t.alive(), o.alive())
	return fromLibtch("sub", t, o)
}

// Mul is t * o, element by element.
func (t *Tensor) Mul(o *Tensor) *Tensor {
	lib.AtgMul(&slots[0], t.alive(), o.alive())
	return fromLibtch("mul", t, o)
}

// Div is t / o.
func (t *Tensor) Div(o *Tensor) *Tensor {
	lib.AtgDiv(&slots[0], t.alive(), o.alive())
	return fromLibtch("div", t, o)
}

func scalar(v float64) lib.Cscalar { return lib.AtsFloat(v) }

// AddScalar is t + v.
func (t *Tensor) AddScalar(v float64) *Tensor {
	s := scalar(v)
	defer lib.AtsFree(s)
	lib.AtgAddScalar(&slots[0], t.alive(), s)
	return fromLibtch("add scalar", t)
}

// MulScalar is t * v.
func (t *Tensor) MulScalar(v float64) *Tensor {
	s := scalar(v)
	defer lib.AtsFree(s)
	lib.AtgMulScalar(&slots[0], t.alive(), s)
	return fromLibtch("mul scalar", t)
}

// Exp is e to the t.
func (t *Tensor) Exp() *Tensor { lib.AtgExp(&slots[0], t.alive()); return fromLibtch("exp", t) }

// Log is the natural logarithm.
func (t *Tensor) Log() *Tensor { lib.AtgLog(&slots[0], t.alive()); return fromLibtch("log", t) }

// Sqrt is the square root.
func (t *Tensor) Sqrt() *Tensor { lib.AtgSqrt(&slots[0], t.alive()); return fromLibtch("sqrt", t) }

// Rsqrt is one over the square root.
func (t *Tensor) Rsqrt() *Tensor { lib.AtgRsqrt(&slots[0], t.alive()); return fromLibtch("rsqrt", t) }

// Abs is the magnitude.
func (t *Tensor) Abs() *Tensor { lib.AtgAbs(&slots[0], t.alive()); return fromLibtch("abs", t) }

// Tanh is the hyperbolic tangent.
func (t *Tensor) Tanh() *Tensor {
	lib.AtgTanh(&slots[0], t.alive())
	return fromLibtch("tanh", t)
}

// Sigmoid is 1/(1+e^-t).
func (t *Tensor) Sigmoid() *Tensor {
	lib.AtgSigmoid(&slots[0], t.alive())
	return fromLibtch("sigmoid", t)
}

// Relu is max(t, 0).
func (t *Tensor) Relu() *Tensor { lib.AtgRelu(&slots[0], t.alive()); return fromLibtch("relu", t) }

// Relu6 is min(max(t, 0), 6).
func (t *Tensor) Relu6() *Tensor { lib.AtgRelu6(&slots[0], t.alive()); return fromLibtch("relu6", t) }

// GELU is x Φ(x) (Hendrycks and Gimpel 2016), or with tanh the approximation that GPT-2 uses.
func (t *Tensor) GELU(tanh bool) *Tensor {
	return fromBridge("gelu", C.ct_gelu(slot(), t.cHandle(), cint(tanh)), t)
}

// ---- products

// Matmul is the matrix product over the last two dimensions; the others broadcast.
func (t *Tensor) Matmul(o *Tensor) *Tensor {
	lib.AtgMatmul(&slots[0], t.alive(), o.alive())
	return fromLibtch("matmul", t, o)
}

// Linear is x weightᵀ + bias: x [..., in], weight [out, in], bias [out] or nil.
func Linear(x, weight, bias *Tensor) *Tensor { return linear(x, weight, bias, false) }

// LinearTurned is x weight + bias: x [..., in], weight [in, out], bias [out] or nil. Under autocast it is quicker than
// Linear of the transposed weight.
func LinearTurned(x, weight, bias *Tensor) *Tensor { return linear(x, weight, bias, true) }

func linear(x, weight, bias *Tensor, turned bool) *Tensor {
	e := C.ct_linear(slot(), x.cHandle(), weight.cHandle(), optionalC(bias), cint(turned))
	return fromBridge("linear", e, x, weight, bias)
}

// LearnByOneDNN says whether layers that learn in float32 go to oneDNN from now on, or to libtorch's own BLAS.
func LearnByOneDNN(on bool) { C.ct_linear_onednn(cint(on)) }

// LearnsByOneDNN says which of the two it is. At the start it is oneDNN where there is AVX-512.
func LearnsByOneDNN() bool { return C.ct_linear_by_onednn() != 0 }

// Conv2d convolves x [B, in, h, w] with weight [out, in/groups, kh, kw]; bias [out] or nil. stride, padding and
// dilation are (height, width).
func Conv2d(x, weight, bias *Tensor, stride, padding, dilation [2]int64, groups int64) *Tensor {
	lib.AtgConv2d(
		&slots[0],
		x.alive(),
		weight.alive(),
		optional(bias),
		stride[:],
		2,
		padding[:],
		2,
		dilation[:],
		2,
		groups,
	)
	return fromLibtch("conv2d", x, weight, bias)
}

// AvgPool2d averages squares of k x k of x [B, C, h, w] that do not overlap: [B, C, h/k, w/k], rounded down.
func AvgPool2d(x *Tensor, k int64) *Tensor {
	side, none := []int64{k, k}, []int64{0, 0}
	lib.AtgAvgPool2d(&slots[0], x.alive(), side, 2, side, 2, none, 2, 0, 1, 0, 1)
	return fromLibtch("avg pool2d", x)
}

// Bicubic scales maps t [B, C, h, w] to [B, C, height, width] as PyTorch's interpolate does, with the corners of the
// outermost pixels kept apart; antialias widens the kernel where a map shrinks.
func (t *Tensor) Bicubic(height, width int64, antialias bool) *Tensor {
	scale := lib.AtgUpsampleBicubic2d
	if antialias {
		scale = lib.Atg_UpsampleBicubic2dAa
	}
	scale(&slots[0], t.alive(), []int64{height, width}, 2, 0, 0, 1, 0, 1)
	return fromLibtch("bicubic", t)
}

// Bilinear scales maps t [B, C, h, w] to [B, C, height, width] as PyTorch's interpolate does, with the corners of the
// outermost pixels kept apart.
func (t *Tensor) Bilinear(height, width int64) *Tensor {
	lib.AtgUpsampleBilinear2d(&slots[0], t.alive(), []int64{height, width}, 2, 0, 0, 1, 0, 1)
	return fromLibtch("bilinear", t)
}

// Attention is softmax(q kᵀ scale + mask) v by libtorch's fused kernels: q [..., T, D], k and v [..., S, D]; mask nil,
// boolean (true = look) or added; scale 0 means 1/√D. On CPU its backward is several times slower than plain products.
func Attention(q, k, v, mask *Tensor, dropout float64, causal bool, scale float64) *Tensor {
	return fromBridge(
		"attention",
		C.ct_attention(
			slot(),
			q.cHandle(),
			k.cHandle(),
			v.cHandle(),
			optionalC(mask),
			C.double(dropout),
			cint(causal),
			C.double(scale),
		),
		q,
		k,
		v,
		mask,
	)
}

// ---- normalization, softmax, loss

// LayerNorm normalizes the last len(shape) dimensions (Ba, Kiros, Hinton 2016); weight and bias have that shape or are
// nil.
func LayerNorm(x *Tensor, shape []int64, weight, bias *Tensor, eps float64) *Tensor {
	lib.AtgLayerNorm(&slots[0], x.alive(), shape, len(shape), optional(weight), optional(bias), eps, 1)
	return fromLibtch("layer norm", x, weight, bias)
}

// BatchNorm is the inference form of batch normalization over dimension 1.
func BatchNorm(x, weight, bias, mean, variance *Tensor, eps float64) *Tensor {
	lib.AtgBatchNorm(&slots[0], x.alive(), optional(weight), optional(bias), mean.alive(), variance.alive(), 0, 0, eps, 1)
	return fromLibtch("batch norm", x, weight, bias, mean, variance)
}

// Softmax is over dimension d.
func (t *Tensor) Softmax(d int64) *Tensor {
	lib.AtgSoftmax(&slots[0], t.alive(), d, noDType)
	return fromLibtch("softmax", t)
}

// LogSoftmax is over dimension d.
func (t *Tensor) LogSoftmax(d int64) *Tensor {
	lib.AtgLogSoftmax(&slots[0], t.alive(), d, noDType)
	return fromLibtch("log softmax", t)
}

// Reduction says what a loss makes of its elements.
type Reduction int64

// The reductions.
const (
	Each Reduction = iota // no reduction: one value a row
	Mean
	Sum
)

// CrossEntropy is the loss of logits [N, V] against target ids [N] (int64). Rows whose target is ignore count for
// nothing; smoothing spreads that share of the target evenly over all classes (Szegedy et al. 2016, §7). Of logits in
// bfloat16 it is computed in float32.
func CrossEntropy(logits, target *Tensor, r Reduction, ignore int64, smoothing float64) *Tensor {
	return CrossEntropyAt(1, logits, target, r, ignore, smoothing)
}

// CrossEntropyAt is CrossEntropy of logits divided by temperature.
func CrossEntropyAt(
	temperature float64, logits, target *Tensor, r Reduction, ignore int64, smoothing float64,
) *Tensor {
	e := C.ct_cross_entropy(slot(), logits.cHandle(), target.cHandle(), C.int(r), C.int64_t(ignore), C.double(smoothing),
		C.double(1/temperature))
	return fromBridge("cross entropy", e, logits, target)
}

// ---- reductions

// Sum adds all elements.
func (t *Tensor) Sum() *Tensor {
	lib.AtgSum(&slots[0], t.alive(), noDType)
	return fromLibtch("sum", t)
}

// Mean averages all elements.
func (t *Tensor) Mean() *Tensor {
	lib.AtgMean(&slots[0], t.alive(), noDType)
	return fromLibtch("mean", t)
}

// SumDim adds over dimension d; keep leaves it with extent 1.
func (t *Tensor) SumDim(d int64, keep bool) *Tensor {
	lib.AtgSumDimIntlist(&slots[0], t.alive(), []int64{d}, 1, lbool(keep), noDType)
	return fromLibtch("sum dim", t)
}

// MeanDim averages over dimension d; keep leaves it with extent 1.
func (t *Tensor) MeanDim(d int64, keep bool) *Tensor {
	lib.AtgMeanDim(&slots[0], t.alive(), []int64{d}, 1, lbool(keep), noDType)
	return fromLibtch("mean dim", t)
}

// Cumsum adds up along dimension d: element i becomes the sum of those up to i.
func (t *Tensor) Cumsum(d int64) *Tensor {
	lib.AtgCumsum(&slots[0], t.alive(), d, noDType)
	return fromLibtch("cumsum", t)
}

// ---- comparison and choice

// MaskedFill is t with v where mask (bool) is true.
func (t *Tensor) MaskedFill(mask *Tensor, v float64) *Tensor {
	s := scalar(v)
	defer lib.AtsFree(s)
	lib.AtgMaskedFill(&slots[0], t.alive(), mask.alive(), s)
	return fromLibtch("masked fill", t, mask)
}

// EqScalar is t == v.
func (t *Tensor) EqScalar(v float64) *Tensor {
	s := scalar(v)
	defer lib.AtsFree(s)
	lib.AtgEq(&slots[0], t.alive(), s)
	return fromLibtch("eq", t)
}

// Le is t <= o, element by element; shapes broadcast.
func (t *Tensor) Le(o *Tensor) *Tensor {
	lib.AtgLeTensor(&slots[0], t.alive(), o.alive())
	return fromLibtch("le", t, o)
}

// Triu keeps the elements on and above diagonal d.
func (t *Tensor) Triu(d int64) *Tensor {
	lib.AtgTriu(&slots[0], t.alive(), d)
	return fromLibtch("triu", t)
}

// ---- looking up

// Embedding takes rows of weight [V, C] by ids [...] (int64): [..., C].
func Embedding(weight, ids *Tensor) *Tensor {
	lib.AtgEmbedding(&slots[0], weight.alive(), ids.alive(), -1, 0, 0)
	return fromLibtch("embedding", weight, ids)
}

// IndexSelect takes the slices index (int64, one dimension) of dimension d.
func (t *Tensor) IndexSelect(d int64, index *Tensor) *Tensor {
	lib.AtgIndexSelect(&slots[0], t.alive(), d, index.alive())
	return fromLibtch("index select", t, index)
}

// IndexCopy is t with its slices index of dimension d replaced by those of src.
func (t *Tensor) IndexCopy(d int64, index, src *Tensor) *Tensor {
	lib.AtgIndexCopy(&slots[0], t.alive(), d, index.alive(), src.alive())
	return fromLibtch("index copy", t, index, src)
}

// Gather takes one element along d for each element of index.
func (t *Tensor) Gather(d int64, index *Tensor) *Tensor {
	lib.AtgGather(&slots[0], t.alive(), d, index.alive(), 0)
	return fromLibtch("gather", t, index)
}

// ---- shape; these share t's memory where they can

// Reshape gives t the shape; one extent may be -1.
func (t *Tensor) Reshape(shape ...int64) *Tensor {
	lib.AtgReshape(&slots[0], t.alive(), some(shape), len(shape))
	return fromLibtch("reshape", t)
}

// View is Reshape that never copies, and fails where it would have to.
func (t *Tensor) View(shape ...int64) *Tensor {
	lib.AtgView(&slots[0], t.alive(), some(shape), len(shape))
	return fromLibtch("view", t)
}

// some is s, or for an empty s something that libtch can take the address of.
func some(s []int64) []int64 {
	if len(s) == 0 {
		return []int64{0}
	}
	return s
}

// Permute reorders the dimensions.
func (t *Tensor) Permute(order ...int64) *Tensor {
	lib.AtgPermute(&slots[0], t.alive(), some(order), len(order))
	return fromLibtch("permute", t)
}

// Transpose swaps dimensions a and b.
func (t *Tensor) Transpose(a, b int64) *Tensor {
	lib.AtgTranspose(&slots[0], t.alive(), a, b)
	return fromLibtch("transpose", t)
}

// Flatten joins dimensions from to to (inclusive).
func (t *Tensor) Flatten(from, to int64) *Tensor {
	lib.AtgFlatten(&slots[0], t.alive(), from, to)
	return fromLibtch("flatten", t)
}

// Unsqueeze puts a dimension of extent 1 at d.
func (t *Tensor) Unsqueeze(d int64) *Tensor {
	lib.AtgUnsqueeze(&slots[0], t.alive(), d)
	return fromLibtch("unsqueeze", t)
}

// Squeeze drops dimension d if its extent is 1.
func (t *Tensor) Squeeze(d int64) *Tensor {
	lib.AtgSqueezeDim(&slots[0], t.alive(), d)
	return fromLibtch("squeeze", t)
}

// Expand repeats dimensions of extent 1 without copying; -1 keeps an extent.
func (t *Tensor) Expand(shape ...int64) *Tensor {
	lib.AtgExpand(&slots[0], t.alive(), some(shape), len(shape), 0)
	return fromLibtch("expand", t)
}

// Narrow is the slice [start, start+length) of dimension d.
func (t *Tensor) Narrow(d, start, length int64) *Tensor {
	lib.AtgNarrow(&slots[0], t.alive(), d, start, length)
	return fromLibtch("narrow", t)
}

// Select is slice i of dimension d, without that dimension.
func (t *Tensor) Select(d, i int64) *Tensor {
	lib.AtgSelect(&slots[0], t.alive(), d, i)
	return fromLibtch("select", t)
}

// Cat joins tensors along dimension d.
func Cat(d int64, ts ...*Tensor) *Tensor {
	if len(ts) == 0 {
		Fail("cat", "no tensors")
	}
	lib.AtgCat(&slots[0], ctensors(ts), len(ts), d)
	return fromLibtch("cat", ts...)
}

// Stack joins tensors along a new dimension d.
func Stack(d int64, ts ...*Tensor) *Tensor {
	if len(ts) == 0 {
		Fail("stack", "no tensors")
	}
	lib.AtgStack(&slots[0], ctensors(ts), len(ts), d)
	return fromLibtch("stack", ts...)
}

func ctensors(ts []*Tensor) []handle {
	out := make([]handle, len(ts))
	for i, t := range ts {
		out[i] = t.alive()
	}
	return out
}

// Pad surrounds t with zeros: pairs (before, after) from the last dimension backwards.
func (t *Tensor) Pad(pairs ...int64) *Tensor {
	lib.AtgConstantPadNd(&slots[0], t.alive(), some(pairs), len(pairs))
	return fromLibtch("pad", t)
}

// Flip reverses dimension d.
func (t *Tensor) Flip(d int64) *Tensor {
	lib.AtgFlip(&slots[0], t.alive(), []int64{d}, 1)
	return fromLibtch("flip", t)
}

// Contiguous is t laid out row by row; t itself where it is.
func (t *Tensor) Contiguous() *Tensor {
	lib.AtgContiguous(&slots[0], t.alive())
	return fromLibtch("contiguous", t)
}

// ChannelsLast is t [B, C, h, w] laid out with the channels innermost.
func (t *Tensor) ChannelsLast() *Tensor {
	return fromBridge("channels last", C.ct_channels_last(slot(), t.cHandle()), t)
}

// ---- type, device, copies

// To is t in type d; t's own memory where it has that type.
func (t *Tensor) To(d DType) *Tensor { return t.Move(t.Device(), d, false) }

// ToDevice is t on device dev. The host does not wait for what goes to a GPU.
func (t *Tensor) ToDevice(dev Device) *Tensor { return t.Move(dev, t.DType(), false) }

// Move is t on a device in a type; copy makes a new tensor even where nothing changes.
func (t *Tensor) Move(dev Device, d DType, copy bool) *Tensor {
	return fromBridge("to", C.ct_move(slot(), t.cHandle(), C.int(dev.index()), C.int(d), cint(copy)), t)
}

// Clone is a copy with memory of its own.
func (t *Tensor) Clone() *Tensor { return t.Move(t.Device(), t.DType(), true) }

// Detach is t without its history.
func (t *Tensor) Detach() *Tensor {
	lib.AtgDetach(&slots[0], t.alive())
	return fromLibtch("detach", t)
}

// Randn is a tensor of standard normal draws.
func Randn(d DType, dev Device, shape ...int64) *Tensor {
	return fromBridge("randn", C.ct_randn(slot(), dims(shape), C.int(len(shape)), C.int(d), C.int(dev.index())))
}
