package pickle

import (
	"encoding/binary"
	"fmt"
	"math"
)

// numpyScalar answers numpy's scalar(dtype, bytes): learning rates and losses in checkpoints are often numpy numbers.
// A dtype other than the plain numbers stays a record.
func numpyScalar(_ *machine, args Tuple) (any, error) {
	dtype, err := arg[*Record](args, 0, "a dtype")
	if err != nil {
		return nil, err
	}
	raw := &Record{Module: "numpy", Name: "scalar", Args: args}
	if len(args) != 2 || len(dtype.Args) == 0 {
		return raw, nil
	}
	code, _ := dtype.Args[0].(string)
	b, ok := args[1].(Bytes)
	if !ok || code == "" {
		return raw, nil
	}
	if state, ok := dtype.State.(Tuple); ok && len(state) > 1 && state[1] == ">" {
		return raw, nil
	}
	sizes := map[string]int{"f8": 8, "f4": 4, "i8": 8, "i4": 4, "i2": 2, "i1": 1, "u8": 8, "u4": 4, "u2": 2, "u1": 1,
		"b1": 1}
	size, known := sizes[code]
	if !known {
		return raw, nil
	}
	if len(b) != size {
		return nil, fmt.Errorf("%d bytes, want %d for %q", len(b), size, code)
	}
	var wide [8]byte
	copy(wide[:], b)
	u := binary.LittleEndian.Uint64(wide[:])
	switch code {
	case "f8":
		return math.Float64frombits(u), nil
	case "f4":
		return float64(math.Float32frombits(uint32(u))), nil
	case "b1":
		return u != 0, nil
	}
	if code[0] == 'u' {
		if u > math.MaxInt64 {
			return raw, nil
		}
		return int64(u), nil
	}
	shift := 64 - 8*size
	return int64(u<<shift) >> shift, nil
}
