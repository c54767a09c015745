package torch

// #include "kernels/bridge.h"
import "C"

// maskKey numbers the dropout masks of the torch thread; Seed and SetRandomState set it.
var maskKey uint64

// Seed sets the generator of every device and of Dropout. The same seed and the same ops give the same numbers on the
// same machine with the same number of threads.
func Seed(s int64) {
	checkBridge("seed", C.ct_seed(C.uint64_t(s)))
	maskKey = uint64(s) * 0x9e3779b97f4a7c15
}

// RandomState is what Seed and all later draws have left, to be stored and handed to SetRandomState.
func RandomState() []byte {
	var b []byte
	Scoped(func() { b = fromBridge("random state", C.ct_rng_state(slot())).Bytes() })
	for i := range 8 {
		b = append(b, byte(maskKey>>(8*i)))
	}
	return b
}

// SetRandomState puts back a state that RandomState gave, so that the draws after it repeat.
func SetRandomState(b []byte) {
	if len(b) < 8 {
		Fail("set random state", "found %d bytes, want a state that RandomState gave", len(b))
	}
	n := len(b) - 8
	Scoped(func() {
		checkBridge("set random state", C.ct_set_rng_state(FromBytes(b[:n], Uint8, int64(n)).cHandle()))
	})
	maskKey = 0
	for i := range 8 {
		maskKey |= uint64(b[n+i]) << (8 * i)
	}
}

// Dropout zeroes each element with probability p and scales the others by 1/(1-p); p = 0 returns t itself. On CPU p is
// rounded to 1/65536.
func (t *Tensor) Dropout(p float64) *Tensor {
	if p == 0 {
		return t
	}
	if p < 0 || p >= 1 {
		Fail("dropout", "probability %g, want 0 to less than 1", p)
	}
	maskKey += 0xd1342543de82ef95
	return t.Mul(fromBridge("dropout", C.ct_dropout_mask(slot(), t.cHandle(), C.double(p), C.uint64_t(maskKey)), t))
}
