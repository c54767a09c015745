//go:build standin

package device

// #cgo CXXFLAGS: -DCAPTIONER_OWN_CXX -std=c++17 -O2
// #cgo LDFLAGS: -ltorch_cpu -lc10
// #include "standin.h"
import "C"

import "unsafe"

// Install makes n devices known to libtorch, and gives the number of their c10::DeviceType.
func Install(n int) int { return int(C.si_install(C.int(n))) }

// Crossed gives the counters, in the order of si_crossings in standin.h.
func Crossed() [8]int64 {
	c := C.si_crossed()
	return [8]int64{int64(c.uploads), int64(c.downloads), int64(c.items), int64(c.waits), int64(c.peers),
		int64(c.upload_bytes), int64(c.download_bytes), int64(c.ops)}
}

// Graphs is a struct ct_graph_calls of torch/gpu/gpu.h.
func Graphs() unsafe.Pointer { return unsafe.Pointer(C.si_graphs()) }

// Limit bounds the memory of a device; 0 for no bound.
func Limit(device int, bytes int64) { C.si_limit(C.int(device), C.size_t(bytes)) }

// Used is the memory that tensors of a device have now, and the most that they had.
func Used(device int) (now, peak int64) {
	return int64(C.si_used(C.int(device))), int64(C.si_peak(C.int(device)))
}

// Trace prints each crossing on standard error, or stops it.
func Trace(on bool) {
	v := 0
	if on {
		v = 1
	}
	C.si_trace(C.int(v))
}

// Peek reads a byte through the data pointer of a torch::Tensor.
func Peek(tensor unsafe.Pointer) int { return int(C.si_peek(tensor)) }
