package torch

// #include "kernels/bridge.h"
import "C"

// modes is the state of the torch thread that a scope of Do restores.
type modes struct {
	grad      bool
	autocasts int
}

// open are the functions that close the autocast regions that are open, outermost first. Each region closes itself:
// this only matters after a panic.
var open []func()

func currentModes() modes { return modes{C.ct_grad_enabled() != 0, len(open)} }

func (m modes) restore() {
	for len(open) > m.autocasts {
		open[len(open)-1]()
	}
	C.ct_set_grad_enabled(cint(m.grad))
}

// GradEnabled says whether ops record what Backward needs.
func GradEnabled() bool { return C.ct_grad_enabled() != 0 }

// NoGrad runs f without recording for Backward. It nests, and restores what was before, also after a panic.
func NoGrad(f func()) {
	before := C.ct_grad_enabled()
	C.ct_set_grad_enabled(0)
	defer func() { C.ct_set_grad_enabled(before) }()
	f()
}

// Inference runs f in libtorch's inference mode: faster than NoGrad, and what it makes can never take part in Backward.
// It nests.
func Inference(f func()) {
	g := C.ct_inference_begin()
	defer C.ct_inference_end(g)
	f()
}

// Autocast runs f with the ops that gain from it done in type d (BFloat16 or Float16) on device dev's kind; Float32
// turns autocast off inside f. It nests, and clears the cache of cast weights when the outermost region ends.
func Autocast(dev Device, d DType, f func()) {
	cuda := cint(dev.IsCUDA())
	before := C.ct_autocast_dtype(cuda)
	to := C.int(d)
	if d == Float32 {
		to = -1
	}
	checkBridge("autocast", C.ct_autocast_begin(cuda, to))
	n := len(open)
	closed := false
	open = append(open, func() {
		if !closed {
			closed = true
			C.ct_autocast_end(cuda, before)
		}
		open = open[:n]
	})
	end := open[n]
	defer end()
	f()
}

// AutocastDType is the type that autocast uses on dev's kind now, and whether it is on.
func AutocastDType(dev Device) (DType, bool) {
	d := C.ct_autocast_dtype(cint(dev.IsCUDA()))
	return DType(d), d >= 0
}
