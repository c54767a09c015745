package torch

// #include <stdlib.h>
// #include "kernels/bridge.h"
import "C"

// Activation is what a packed layer applies to its result.
type Activation int

// The activations.
const (
	NoActivation Activation = iota
	GELUErf
	GELUTanh
	ReLU
	SiLU  // x sigmoid(x)
	ReLU6 // min(max(x, 0), 6); for convolutions only
)

// activationNames are C strings that live as long as the program.
var activationNames = [...]*C.char{C.CString("none"), C.CString("gelu"), C.CString("gelu_tanh"), C.CString("relu"),
	C.CString("swish"), C.CString("hardtanh")}

// PackLinear lays out a CPU weight [out, in] (float32 or bfloat16) as oneDNN wants it: at few rows it is read at the
// memory's speed. The result is for PackedLinear only, and for inference only.
func PackLinear(weight *Tensor) *Tensor {
	return fromBridge("pack linear", C.ct_pack_linear(slot(), weight.cHandle()), weight)
}

// PackedLinear is act(x weightᵀ + bias) with a weight from PackLinear; x [..., in] has the weight's type, bias [out]
// may be nil.
func PackedLinear(x, packed, bias *Tensor, act Activation) *Tensor {
	return fromBridge(
		"packed linear",
		C.ct_packed_linear(slot(), x.cHandle(), packed.cHandle(), optionalC(bias), activationNames[act]),
		x,
		bias,
	)
}

// PackConv2d lays out a CPU weight [out, in/groups, kh, kw] for PackedConv2d with these settings; input is the shape
// [B, in, h, w] that will be the usual one, or nil.
func PackConv2d(weight *Tensor, stride, padding, dilation [2]int64, groups int64, input []int64) *Tensor {
	return fromBridge(
		"pack conv2d",
		C.ct_pack_conv2d(slot(), weight.cHandle(), dims(stride[:]), dims(padding[:]), dims(dilation[:]), C.int64_t(groups),
			dims(input), C.int(len(input))),
		weight,
	)
}

// PackedConv2d is act(Conv2d + residual) with a weight from PackConv2d; residual has the result's shape, or is nil. The
// activation is none, ReLU, or, without a residual, ReLU6. For inference only.
func PackedConv2d(
	x, packed, bias *Tensor,
	stride, padding, dilation [2]int64,
	groups int64,
	act Activation,
	residual *Tensor,
) *Tensor {
	if act != NoActivation && act != ReLU && (act != ReLU6 || residual != nil) {
		Fail(
			"packed conv2d",
			"activation %d with residual %v, want none, ReLU, or ReLU6 without a residual",
			act,
			residual != nil,
		)
	}
	return fromBridge(
		"packed conv2d",
		C.ct_packed_conv2d(slot(), x.cHandle(), packed.cHandle(), optionalC(bias), dims(stride[:]), dims(padding[:]),
			dims(dilation[:]), C.int64_t(groups), activationNames[act], optionalC(residual)),
		x,
		bias,
		residual,
	)
}
