package weights

import "fmt"

// DType is the type of a tensor's elements. The zero value is no type: its Size is 0.
type DType uint8

// The element types that the project reads and writes. Complex, quantised and 8-bit float types are refused by name.
const (
	F64 DType = iota + 1
	F32
	F16
	BF16
	I64
	I32
	I16
	I8
	U8
	Bool // one byte, 0 or 1
)

var dtypes = [...]struct {
	name string
	size int
}{
	F64: {"F64", 8}, F32: {"F32", 4}, F16: {"F16", 2}, BF16: {"BF16", 2},
	I64: {"I64", 8}, I32: {"I32", 4}, I16: {"I16", 2}, I8: {"I8", 1}, U8: {"U8", 1}, Bool: {"BOOL", 1},
}

// String returns the name that safetensors files use, such as "BF16".
func (d DType) String() string {
	if d == 0 || int(d) >= len(dtypes) {
		return fmt.Sprintf("DType(%d)", uint8(d))
	}
	return dtypes[d].name
}

// Size returns the bytes of one element, 0 for a value that is none of the constants.
func (d DType) Size() int {
	if int(d) >= len(dtypes) {
		return 0
	}
	return dtypes[d].size
}

// Float reports whether d is one of the floating-point types.
func (d DType) Float() bool { return d == F64 || d == F32 || d == F16 || d == BF16 }

// ParseDType reads a name as String writes it; case counts.
func ParseDType(s string) (DType, error) {
	for d := F64; int(d) < len(dtypes); d++ {
		if dtypes[d].name == s {
			return d, nil
		}
	}
	return 0, fmt.Errorf("dtype %q: want one of F64, F32, F16, BF16, I64, I32, I16, I8, U8, BOOL", s)
}
