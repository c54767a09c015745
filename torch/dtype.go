package torch

import (
	"fmt"
	"strconv"
	"strings"

	"captioner/weights"
)

// DType is an element type, numbered as c10::ScalarType is.
type DType int32

// The element types in use.
const (
	Uint8    DType = 0
	Int8     DType = 1
	Int16    DType = 2
	Int32    DType = 3
	Int64    DType = 4
	Float16  DType = 5
	Float32  DType = 6
	Float64  DType = 7
	Bool     DType = 11
	BFloat16 DType = 15
)

var dtypes = map[DType]struct {
	name string
	size int
	w    weights.DType
}{
	Uint8: {
		"uint8",
		1,
		weights.U8,
	}, Int8: {"int8", 1, weights.I8}, Int16: {"int16", 2, weights.I16}, Int32: {"int32", 4, weights.I32},
	Int64: {"int64", 8, weights.I64}, Float16: {"float16", 2, weights.F16}, Float32: {"float32", 4, weights.F32},
	Float64: {"float64", 8, weights.F64}, Bool: {"bool", 1, weights.Bool}, BFloat16: {"bfloat16", 2, weights.BF16},
}

var toWeights, fromWeights = func() (map[DType]weights.DType, map[weights.DType]DType) {
	to, from := map[DType]weights.DType{}, map[weights.DType]DType{}
	for d, x := range dtypes {
		to[d], from[x.w] = x.w, d
	}
	return to, from
}()

// Size is the number of bytes of an element; 0 for a type that this package does not know.
func (d DType) Size() int { return dtypes[d].size }

func (d DType) String() string {
	if x, ok := dtypes[d]; ok {
		return x.name
	}
	return "dtype " + strconv.Itoa(int(d))
}

// IsFloat says whether d is a floating-point type.
func (d DType) IsFloat() bool { return d == Float16 || d == BFloat16 || d == Float32 || d == Float64 }

// Device is where a tensor lives. The zero value is the CPU.
type Device int32

// CPU is the host.
const CPU Device = 0

// CUDA is GPU n, counted from 0.
func CUDA(n int) Device { return Device(n + 1) }

// IsCUDA says whether d is a GPU.
func (d Device) IsCUDA() bool { return d > CPU }

// index is libtorch's number of d: -1 for the CPU.
func (d Device) index() int32 { return int32(d) - 1 }

func (d Device) String() string {
	if d == CPU {
		return "cpu"
	}
	return fmt.Sprintf("cuda:%d", d.index())
}

// ParseDevice reads "auto", "cpu", "cuda" or "cuda:N" and checks that the device is there. auto is the first GPU, else
// the CPU. It may load the CUDA libraries, and so must run before anything else asks about them.
func ParseDevice(s string) (Device, error) {
	switch {
	case s == "cpu":
		return CPU, nil
	case s == "auto" || s == "":
		if n, err := CUDADevices(); err == nil && n > 0 {
			return CUDA(0), nil
		}
		return CPU, nil
	case s == "cuda" || strings.HasPrefix(s, "cuda:"):
		i := 0
		if rest, ok := strings.CutPrefix(s, "cuda:"); ok {
			n, err := strconv.Atoi(rest)
			if err != nil || n < 0 {
				return CPU, fmt.Errorf("device %q: found number %q, want 0, 1, …", s, rest)
			}
			i = n
		}
		n, err := CUDADevices()
		if err != nil {
			return CPU, fmt.Errorf("device %q: %w", s, err)
		}
		if i >= n {
			return CPU, fmt.Errorf("device %q: found %d CUDA devices", s, n)
		}
		return CUDA(i), nil
	}
	return CPU, fmt.Errorf("device %q: want auto, cpu, cuda or cuda:N", s)
}
