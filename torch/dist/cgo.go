package dist

// The doors of dist.h stand in package c10d. cgo links this package alone once, where they are missing.

// #cgo linux LDFLAGS: -Wl,--unresolved-symbols=ignore-all
// #cgo darwin LDFLAGS: -Wl,-undefined,dynamic_lookup
// #include <stdlib.h>
// #include "c10d/dist.h"
import "C"

import (
	"errors"
	"unsafe"

	"captioner/torch"
	_ "captioner/torch/dist/c10d"
)

// failure takes over a malloc'ed message; nil where there is none.
func failure(e *C.char) error {
	if e == nil {
		return nil
	}
	defer C.free(unsafe.Pointer(e))
	return errors.New(C.GoString(e))
}

// with calls f with C copies of strings, which live until it returns.
func with(f func(s []*C.char) *C.char, texts ...string) error {
	s := make([]*C.char, len(texts))
	for i, t := range texts {
		s[i] = C.CString(t)
		defer C.free(unsafe.Pointer(s[i]))
	}
	return failure(f(s))
}

// handles is a C-callable view of tensors.
func handles(ts []*torch.Tensor) *unsafe.Pointer {
	out := make([]unsafe.Pointer, len(ts))
	for i, t := range ts {
		out[i] = t.Handle()
	}
	return unsafe.SliceData(out)
}

func pointer(b []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b)) }
