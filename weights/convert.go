package weights

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Float32s returns the elements as new float32 values. Halves and float32 are exact; F64 rounds to nearest even.
// Integer and boolean tensors are refused: which of them are numbers only the caller knows.
func (t NamedTensor) Float32s() ([]float32, error) {
	if err := t.Validate(); err != nil {
		return nil, err
	}
	out := make([]float32, len(t.Data)/t.DType.Size())
	switch t.DType {
	case F64:
		for i := range out {
			out[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(t.Data[8*i:])))
		}
	case F32:
		for i := range out {
			out[i] = math.Float32frombits(binary.LittleEndian.Uint32(t.Data[4*i:]))
		}
	case F16:
		for i := range out {
			out[i] = FromFloat16(binary.LittleEndian.Uint16(t.Data[2*i:]))
		}
	case BF16:
		for i := range out {
			out[i] = FromBFloat16(binary.LittleEndian.Uint16(t.Data[2*i:]))
		}
	default:
		return nil, fmt.Errorf("tensor %q: dtype %v, want a floating-point type", t.Name, t.DType)
	}
	return out, nil
}

// FromFloat32s returns a tensor of the floating-point type d with the given values, rounded to nearest even. It owns
// its bytes.
func FromFloat32s(name string, d DType, shape []int64, values []float32) (NamedTensor, error) {
	n, err := Elements(shape)
	if err != nil {
		return NamedTensor{}, fmt.Errorf("tensor %q: %w", name, err)
	}
	if n != int64(len(values)) {
		return NamedTensor{}, fmt.Errorf("tensor %q: %d values, want %d for shape %v", name, len(values), n, shape)
	}
	if !d.Float() {
		return NamedTensor{}, fmt.Errorf("tensor %q: dtype %v, want a floating-point type", name, d)
	}
	b := make([]byte, 0, len(values)*d.Size())
	switch d {
	case F64:
		for _, v := range values {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(float64(v)))
		}
	case F32:
		for _, v := range values {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		}
	case F16:
		for _, v := range values {
			b = binary.LittleEndian.AppendUint16(b, ToFloat16(v))
		}
	case BF16:
		for _, v := range values {
			b = binary.LittleEndian.AppendUint16(b, ToBFloat16(v))
		}
	}
	return NamedTensor{Name: name, DType: d, Shape: append([]int64{}, shape...), Data: b}, nil
}

// Convert returns the tensor with floating-point type d. A tensor that has it already is returned as it is, sharing its
// bytes; F64 goes to a half by way of float32, as PyTorch does.
func (t NamedTensor) Convert(d DType) (NamedTensor, error) {
	if t.DType == d {
		return t, nil
	}
	v, err := t.Float32s()
	if err != nil {
		return NamedTensor{}, err
	}
	return FromFloat32s(t.Name, d, t.Shape, v)
}

// FromFloat16 widens an IEEE 754 half, exactly; a NaN keeps its sign and payload.
func FromFloat16(h uint16) float32 {
	sign, exp, frac := uint32(h>>15)<<31, uint32(h>>10&0x1f), uint32(h&0x3ff)
	switch exp {
	case 0: // zero and subnormals: frac units of 2^-24
		v := math.Float32bits(float32(frac) * (1.0 / (1 << 24)))
		return math.Float32frombits(sign | v)
	case 0x1f:
		return math.Float32frombits(sign | 0xff<<23 | frac<<13)
	}
	return math.Float32frombits(sign | (exp+127-15)<<23 | frac<<13)
}

// ToFloat16 narrows to an IEEE 754 half, rounding to nearest even; what is too large becomes infinite, a NaN stays a
// NaN.
func ToFloat16(f float32) uint16 {
	b := math.Float32bits(f)
	sign, abs := uint16(b>>16&0x8000), b&0x7fffffff
	switch {
	case abs > 0x7f800000: // NaN: the top bit set, so that dropping low bits cannot make it infinite
		return sign | 0x7e00 | uint16(abs>>13&0x3ff)
	case abs >= 0x477ff000: // 65520 and above round to infinity
		return sign | 0x7c00
	case abs >= 0x38800000: // normal halves, from 2^-14
		abs += 0xfff + abs>>13&1 // round to nearest even; a carry moves into the exponent, as it should
		return sign | uint16((abs-(127-15)<<23)>>13)
	case abs <= 0x33000000: // up to 2^-25, half of the smallest subnormal: the tie goes to even, zero
		return sign
	}
	// A subnormal counts units of 2^-24: shift the full mantissa to that unit and round what falls off.
	shift := 126 - abs>>23 // 14 to 24
	m := abs&0x7fffff | 0x800000
	half, rest := uint32(1)<<(shift-1), m&(1<<shift-1)
	m >>= shift
	if rest > half || rest == half && m&1 == 1 {
		m++
	}
	return sign | uint16(m)
}

// FromBFloat16 widens a bfloat16, exactly.
func FromBFloat16(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }

// ToBFloat16 narrows to a bfloat16, rounding to nearest even; a NaN becomes 0x7fc0, as in PyTorch.
func ToBFloat16(f float32) uint16 {
	b := math.Float32bits(f)
	if b&0x7fffffff > 0x7f800000 {
		return 0x7fc0
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}
