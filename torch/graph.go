package torch

// #include "gpu/gpu.h"
import "C"

import "unsafe"

// Graph is work on a GPU that was recorded once, and that one call does again: the host asks for all of it at once.
// What it reads and writes lies where it lay while it was recorded. Free releases it.
type Graph struct {
	device Device
	c      unsafe.Pointer
}

// GraphError says why work was not recorded. The work itself was done.
type GraphError struct{ Reason string }

func (e *GraphError) Error() string { return "record a CUDA graph: " + e.Reason }

// GraphsReady says why this libtorch cannot record on GPUs; nil where it can. After CUDADevices.
func GraphsReady() error {
	if standIn {
		return nil
	}
	if e := C.ct_graph_ready(); e != nil {
		return &GraphError{takeError(unsafe.Pointer(e))}
	}
	return nil
}

// Record does f's work on dev, then records f. What f leaves must lie in tensors that were there before: the others
// belong to the graph. f is called twice, must do the same both times, and must not wait for the GPU, move anything to
// or from it, or draw random numbers. An error is a *GraphError; what f itself says in its first call passes as it
// does without Record. Inside Do, without gradients.
func Record(dev Device, f func()) (_ *Graph, err error) {
	if err := graphCall(C.ct_graph_enter(C.int(dev.index()))); err != nil {
		return nil, err
	}
	defer func() {
		if left := graphCall(C.ct_graph_leave(C.int(dev.index()))); err == nil {
			err = left
		}
	}()
	Scoped(f)
	g := &Graph{device: dev}
	if err := graphCall(C.ct_graph_begin(&g.c, C.int(dev.index()))); err != nil {
		return nil, err
	}
	failed := attempt(f)
	ended := graphCall(C.ct_graph_end(g.c))
	if failed == nil {
		failed = ended
	}
	if failed != nil {
		g.Free()
		return nil, &GraphError{failed.Error()}
	}
	return g, nil
}

// attempt runs f in a scope of its own, and gives the error of an op that failed.
func attempt(f func()) error { return runScoped(func() error { f(); return nil }) }

func graphCall(e *C.char) error {
	if e == nil {
		return nil
	}
	return &GraphError{takeError(unsafe.Pointer(e))}
}

// Replay does the work once more. The host does not wait for it.
func (g *Graph) Replay() { checkBridge("replay a CUDA graph", C.ct_graph_replay(g.c)) }

// Free releases the graph and the memory of its tensors. It may be called on nil.
func (g *Graph) Free() {
	if g == nil || g.c == nil {
		return
	}
	Synchronize(g.device)
	checkBridge("free a CUDA graph", C.ct_graph_free(g.c))
	g.c = nil
}
