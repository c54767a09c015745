package torch

// #include "gpu/gpu.h"
import "C"

import (
	"fmt"
	"unsafe"

	"captioner/weights"
)

// Number is an element type that Go and libtorch share.
type Number interface {
	float32 | float64 | int64 | int32 | int16 | int8 | uint8 | bool
}

func dtypeOf[E Number]() DType {
	var e E
	switch any(e).(type) {
	case float32:
		return Float32
	case float64:
		return Float64
	case int64:
		return Int64
	case int32:
		return Int32
	case int16:
		return Int16
	case int8:
		return Int8
	case uint8:
		return Uint8
	default:
		return Bool
	}
}

// FromSlice copies v into a new CPU tensor of the given shape; no shape means one dimension.
func FromSlice[E Number](v []E, shape ...int64) *Tensor {
	if shape == nil {
		shape = []int64{int64(len(v))}
	}
	d := dtypeOf[E]()
	return fromBridge(
		"from slice",
		C.ct_from_bytes(slot(), unsafe.Pointer(unsafe.SliceData(v)), C.size_t(len(v)*d.Size()), dims(shape),
			C.int(len(shape)), C.int(d)),
	)
}

// Upload is FromSlice on a device. It takes one copy on the host, which does not wait for a GPU.
func Upload[E Number](v []E, dev Device, shape ...int64) *Tensor {
	if shape == nil {
		shape = []int64{int64(len(v))}
	}
	d := dtypeOf[E]()
	return fromBridge(
		"upload",
		C.ct_upload(slot(), unsafe.Pointer(unsafe.SliceData(v)), C.size_t(len(v)*d.Size()), dims(shape),
			C.int(len(shape)), C.int(d), C.int(dev.index())),
	)
}

// FromBytes copies b, the little-endian elements of type d, into a new CPU tensor.
func FromBytes(b []byte, d DType, shape ...int64) *Tensor {
	return fromBridge(
		"from bytes",
		C.ct_from_bytes(slot(), unsafe.Pointer(unsafe.SliceData(b)), C.size_t(len(b)), dims(shape), C.int(len(shape)),
			C.int(d)),
	)
}

// FromNamed makes a CPU tensor of a stored one. Where share is true the tensor reads n.Data in place if its Source
// holds it (see weights.NamedTensor): the Source must outlive the tensor and all its views, and nothing may write to
// either. Other data are copied.
func FromNamed(n weights.NamedTensor, share bool) *Tensor {
	d, ok := fromWeights[n.DType]
	if !ok {
		Fail("from named", "tensor %q: no libtorch type for %v", n.Name, n.DType)
	}
	p := unsafe.Pointer(unsafe.SliceData(n.Data))
	if !share || !n.Held || uintptr(p)%uintptr(d.Size()) != 0 {
		return FromBytes(n.Data, d, n.Shape...)
	}
	return fromBridge(
		"from named",
		C.ct_from_blob(slot(), p, C.size_t(len(n.Data)), dims(n.Shape), C.int(len(n.Shape)), C.int(d)),
	)
}

// Forget tells the system that t is not needed for now, where it lies in a memory map of a file (weights.Mapping): its
// pages leave this process, and come back from the file when they are touched. What was written to the map is lost. A
// tensor that is to be read Once is freed. Else Forget does nothing.
func (t *Tensor) Forget() {
	if t.once {
		defer t.Free()
	}
	if t.Device() != CPU {
		return
	}
	var p unsafe.Pointer
	var n C.size_t
	checkBridge("forget", C.ct_storage(t.cHandle(), &p, &n), t)
	weights.Forget(unsafe.Slice((*byte)(p), int(n)))
}

// Once says that t is there to be read by one reader, who calls Forget after it. It returns t.
func (t *Tensor) Once() *Tensor {
	t.once = true
	return t
}

// Named copies t into a stored tensor.
func (t *Tensor) Named(name string) weights.NamedTensor {
	d, ok := toWeights[t.DType()]
	if !ok {
		Fail("named", "tensor %q: type %v cannot be stored", name, t.DType())
	}
	return weights.NamedTensor{Name: name, DType: d, Shape: t.Shape(), Data: t.Bytes()}
}

// Bytes copies the elements, row by row, little-endian.
func (t *Tensor) Bytes() []byte {
	b := make([]byte, t.Numel()*int64(t.DType().Size()))
	checkBridge("bytes", C.ct_to_bytes(t.cHandle(), unsafe.Pointer(unsafe.SliceData(b)), C.size_t(len(b))), t)
	return b
}

// Slice copies the elements, row by row; t's type must be E's.
func Slice[E Number](t *Tensor) []E {
	v := make([]E, t.Numel())
	CopyTo(t, v)
	return v
}

// CopyTo copies the elements into dst, which must have as many; t's type must be E's.
func CopyTo[E Number](t *Tensor, dst []E) {
	d := dtypeOf[E]()
	if t.DType() != d {
		fail("slice", fmt.Sprintf("tensor is %v, want %v", t.DType(), d), []*Tensor{t})
	}
	checkBridge("slice", C.ct_to_bytes(t.cHandle(), unsafe.Pointer(unsafe.SliceData(dst)), C.size_t(len(dst)*d.Size())), t)
}

// Float is the one element of t, converted.
func (t *Tensor) Float() float64 {
	var v float64
	Scoped(func() { v = Slice[float64](t.To(Float64).Reshape(-1))[0] })
	return v
}

// Floats are the one elements of ts, converted. Those on a GPU are read together, so that the host waits for it once.
func Floats(ts ...*Tensor) []float64 {
	out := make([]float64, len(ts))
	Scoped(func() {
		var gpu []*Tensor
		var at []int
		for i, t := range ts {
			if !t.Device().IsCUDA() {
				out[i] = t.Float()
				continue
			}
			gpu, at = append(gpu, t.Detach().To(Float64).Reshape(1)), append(at, i)
		}
		if len(gpu) == 0 {
			return
		}
		for i, v := range Slice[float64](Cat(0, gpu...)) {
			out[at[i]] = v
		}
	})
	return out
}

// Empty is a tensor of unset elements.
func Empty(d DType, dev Device, shape ...int64) *Tensor {
	return fromBridge("empty", C.ct_empty(slot(), dims(shape), C.int(len(shape)), C.int(d), C.int(dev.index())))
}

// Full is a tensor with every element v.
func Full(v float64, d DType, dev Device, shape ...int64) *Tensor {
	return fromBridge("full", C.ct_full(slot(), dims(shape), C.int(len(shape)), C.double(v), C.int(d), C.int(dev.index())))
}

// Zeros is Full with 0.
func Zeros(d DType, dev Device, shape ...int64) *Tensor { return Full(0, d, dev, shape...) }
