package weights

import (
	"encoding/binary"
	"fmt"
)

// exponents are the bits of an exponent in one element of each type, wherever an element begins in eight bytes, and
// the lowest of them. An element whose exponent bits are all set is infinite or not a number.
var exponents = map[DType]struct{ bits, lowest uint64 }{
	F64:  {0x7ff0000000000000, 0x0010000000000000},
	F32:  {0x7f8000007f800000, 0x0080000000800000},
	F16:  {0x7c007c007c007c00, 0x0400040004000400},
	BF16: {0x7f807f807f807f80, 0x0080008000800080},
}

// Finite says whether no element of t is infinite or not a number. Integers are finite.
func (t NamedTensor) Finite() bool {
	e, ok := exponents[t.DType]
	if !ok {
		return true
	}
	// Where all bits of an exponent are set, adding its lowest carries into the bit of the sign, which was cleared.
	signs := e.bits + e.lowest
	var carried uint64
	b := t.Data
	for ; len(b) >= 64; b = b[64:] {
		v := b[:64:64]
		carried |= (binary.LittleEndian.Uint64(v)&e.bits + e.lowest) |
			(binary.LittleEndian.Uint64(v[8:])&e.bits + e.lowest) |
			(binary.LittleEndian.Uint64(v[16:])&e.bits + e.lowest) |
			(binary.LittleEndian.Uint64(v[24:])&e.bits + e.lowest) |
			(binary.LittleEndian.Uint64(v[32:])&e.bits + e.lowest) |
			(binary.LittleEndian.Uint64(v[40:])&e.bits + e.lowest) |
			(binary.LittleEndian.Uint64(v[48:])&e.bits + e.lowest) |
			(binary.LittleEndian.Uint64(v[56:])&e.bits + e.lowest)
	}
	var rest [8]byte
	for len(b) > 0 {
		rest = [8]byte{}
		b = b[copy(rest[:], b):]
		carried |= binary.LittleEndian.Uint64(rest[:])&e.bits + e.lowest
	}
	return carried&signs == 0
}

// NotFinite counts the elements of t that are infinite or not a number, and all of its elements.
func (t NamedTensor) NotFinite() (bad, all int64) {
	size := t.DType.Size()
	if size == 0 {
		return 0, 0
	}
	all = int64(len(t.Data) / size)
	if t.Finite() {
		return 0, all
	}
	for i := 0; i+size <= len(t.Data); i += size {
		if !(NamedTensor{DType: t.DType, Data: t.Data[i : i+size]}).Finite() {
			bad++
		}
	}
	return bad, all
}

// A NotFiniteError says that a tensor holds numbers that no weight can be.
type NotFiniteError struct {
	Name     string
	Bad, All int64 // elements
}

func (e *NotFiniteError) Error() string {
	const found = "found %d of %d numbers in tensor %q infinite or not a number, want finite ones"
	return fmt.Sprintf(found, e.Bad, e.All, e.Name)
}

// Hint says what helps.
func (*NotFiniteError) Hint() string {
	return "the file is damaged, or its training went wrong: fetch or copy it again, or take an earlier checkpoint"
}

// CheckFinite returns a *NotFiniteError where t is not finite. What it read of a memory map leaves this process's
// memory again.
func (t NamedTensor) CheckFinite() error {
	finite := t.Finite()
	if t.Held {
		Forget(t.Data)
	}
	if finite {
		return nil
	}
	bad, all := t.NotFinite()
	return &NotFiniteError{t.Name, bad, all}
}
