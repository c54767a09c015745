package torch

// The doors of bridge.h stand in package kernels. cgo links this package alone once, where they are missing.

// #cgo linux LDFLAGS: -Wl,--unresolved-symbols=ignore-all
// #cgo darwin LDFLAGS: -Wl,-undefined,dynamic_lookup
// #include <stdlib.h>
// #include "kernels/bridge.h"
import "C"

import (
	"unsafe"

	lib "github.com/sugarme/gotch/libtch"

	_ "captioner/torch/gpu"
	_ "captioner/torch/kernels"
)

// handle is a torch::Tensor*, in the type that libtch's functions take.
type handle = lib.Ctensor

// slots is where ops write the handles that they return, most of them one, in slot 0. It lives in C memory, so that
// passing its address costs no allocation and no pointer check. Only the torch thread uses it.
var slots = (*[2]handle)(C.calloc(2, C.size_t(unsafe.Sizeof(handle(nil)))))

// takeError takes over a malloc'ed message; "" where there is none.
func takeError(p unsafe.Pointer) string {
	if p == nil {
		return ""
	}
	s := C.GoString((*C.char)(p))
	C.free(p)
	if s == "" {
		s = "unknown error"
	}
	return s
}

// cint turns a bool into C's.
func cint(b bool) C.int {
	if b {
		return 1
	}
	return 0
}

// dims returns the address of the first extent; C reads nothing where there are none.
func dims(s []int64) *C.int64_t { return (*C.int64_t)(unsafe.SliceData(s)) }

// handles is a C-callable view of tensors' handles.
func handles(ts []*Tensor) []unsafe.Pointer {
	out := make([]unsafe.Pointer, len(ts))
	for i, t := range ts {
		out[i] = unsafe.Pointer(t.alive())
	}
	return out
}

func list(hs []unsafe.Pointer) *C.ct_tensor {
	return (*C.ct_tensor)(unsafe.Pointer(unsafe.SliceData(hs)))
}
