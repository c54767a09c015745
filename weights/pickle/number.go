package pickle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// maxLong is the length in bytes of the longest integer: Python writes none longer than a few.
const maxLong = 256

// number reads the value of an opcode that pushes None, a bool or a number.
func (r *input) number(op byte) (any, error) {
	switch op {
	case 'N':
		return nil, nil
	case 0x88, 0x89: // NEWTRUE, NEWFALSE
		return op == 0x88, nil
	case 'J', 'K', 'M': // BININT (signed), BININT1, BININT2
		size := map[byte]int{'J': 4, 'K': 1, 'M': 2}[op]
		v, err := r.uint(size)
		if op == 'J' {
			return int64(int32(v)), err
		}
		return int64(v), err
	case 'G': // BINFLOAT: the one big-endian number
		b, err := r.take(8)
		if err != nil {
			return nil, err
		}
		return math.Float64frombits(binary.BigEndian.Uint64(b)), nil
	case 0x8a, 0x8b: // LONG1, LONG4
		size := 1
		if op == 0x8b {
			size = 4
		}
		b, err := r.sized(size)
		if err != nil {
			return nil, err
		}
		return decodeLong(b)
	}
	return r.numberLine(op)
}

// numberLine reads INT, LONG and FLOAT.
func (r *input) numberLine(op byte) (any, error) {
	s, err := r.line()
	if err != nil {
		return nil, err
	}
	if op == 'F' {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) {
			return nil, fmt.Errorf("float %s", shorten(s))
		}
		return v, nil
	}
	if op == 'I' && (s == "00" || s == "01") { // how protocol 0 writes booleans
		return s == "01", nil
	}
	s = strings.TrimSuffix(s, "L")
	if v, err := strconv.ParseInt(s, 10, 64); err == nil {
		return v, nil
	}
	if len(s) > 2*maxLong { // the time to read decimals grows with their square
		return nil, fmt.Errorf("integer of %d digits, want at most %d", len(s), 2*maxLong)
	}
	v, ok := new(big.Int).SetString(s, 10)
	if !ok {
		return nil, fmt.Errorf("integer %s", shorten(s))
	}
	return v, nil
}

// decodeLong reads a little-endian two's complement integer.
func decodeLong(b []byte) (any, error) {
	if len(b) > maxLong {
		return nil, fmt.Errorf("integer of %d bytes, want at most %d", len(b), maxLong)
	}
	if len(b) <= 8 {
		var wide [8]byte
		copy(wide[:], b)
		if len(b) > 0 && b[len(b)-1] >= 0x80 {
			for i := len(b); i < 8; i++ {
				wide[i] = 0xff
			}
		}
		return int64(binary.LittleEndian.Uint64(wide[:])), nil
	}
	be := slices.Clone(b)
	slices.Reverse(be)
	v := new(big.Int).SetBytes(be)
	if be[0] >= 0x80 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(8*len(be))))
	}
	return v, nil
}
