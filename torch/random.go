package torch

// #include "kernels/bridge.h"
import "C"

import "encoding/binary"

// maskKey numbers the dropout masks of the torch thread; Seed and SetRandomState set it.
var maskKey uint64

// Seed sets the generator of every device and of Dropout. The same seed and the same ops give the same numbers on the
// same machine with the same number of threads.
func Seed(s int64) {
	checkBridge("seed", C.ct_seed(C.uint64_t(s)))
	maskKey = uint64(s) * 0x9e3779b97f4a7c15
}

// RandomState is what Seed and all later draws have left for the CPU and for dev, to be stored and handed to
// SetRandomState.
func RandomState(dev Device) []byte {
	var b []byte
	Scoped(func() {
		b = fromBridge("random state", C.ct_rng_state(slot(), -1)).Bytes()
		b = binary.LittleEndian.AppendUint64(b, maskKey)
		if dev.IsCUDA() {
			gpu := fromBridge("random state", C.ct_rng_state(slot(), C.int(dev.index()))).Bytes()
			b = append(b, gpu...)
			b = binary.LittleEndian.AppendUint64(b, uint64(len(gpu)))
			b = append(b, gpuState...)
		}
	})
	return b
}

// gpuState ends a state that holds a GPU's after the CPU's.
const gpuState = "GPU state"

// SetRandomState puts back a state that RandomState gave, so that the draws after it repeat. The state of a GPU is for
// another GPU too, and is left out on the CPU; a state without one leaves the GPU's as it is.
func SetRandomState(b []byte, dev Device) {
	b, gpu := splitState(b)
	if len(b) < 8 {
		Fail("set random state", "found %d bytes, want a state that RandomState gave", len(b))
	}
	n := len(b) - 8
	set := func(state []byte, dev Device) {
		Scoped(func() {
			t := FromBytes(state, Uint8, int64(len(state)))
			checkBridge("set random state", C.ct_set_rng_state(t.cHandle(), C.int(dev.index())))
		})
	}
	set(b[:n], CPU)
	if gpu != nil && dev.IsCUDA() {
		set(gpu, dev)
	}
	maskKey = binary.LittleEndian.Uint64(b[n:])
}

// splitState takes a state apart: the CPU's and the GPU's, nil where there is none.
func splitState(b []byte) (cpu, gpu []byte) {
	end := len(b) - len(gpuState) - 8
	if end < 0 || string(b[end+8:]) != gpuState {
		return b, nil
	}
	n := binary.LittleEndian.Uint64(b[end:])
	if n > uint64(end) {
		return b, nil
	}
	return b[:end-int(n)], b[end-int(n) : end]
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
	if t.Device().IsCUDA() {
		return fromBridge("dropout", C.ct_dropout_gpu(slot(), t.cHandle(), C.double(p)), t)
	}
	maskKey += 0xd1342543de82ef95
	return t.Mul(fromBridge("dropout", C.ct_dropout_mask(slot(), t.cHandle(), C.double(p), C.uint64_t(maskKey)), t))
}
