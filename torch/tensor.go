package torch

// #include "kernels/bridge.h"
import "C"

import (
	"fmt"
	"unsafe"

	lib "github.com/sugarme/gotch/libtch"
)

// Tensor is one handle on a libtorch tensor. It belongs to the scope in which it was made, or, after Keep, to whoever
// kept it.
type Tensor struct {
	c     handle
	scope *scope
	index int // place in scope.owned
	once  bool
	birth *birth
}

// alive gives the handle, or ends Do where t is nil, was freed, or Do is not running.
func (t *Tensor) alive() handle {
	if t == nil {
		Fail("tensor", "nil tensor where one is wanted")
	}
	if t.c == nil {
		Fail("tensor", "use of a tensor after it was freed")
	}
	checkThread()
	return t.c
}

// optional is alive for an argument that may be absent.
func optional(t *Tensor) handle {
	if t == nil {
		return nil
	}
	return t.alive()
}

func wrap(c handle) *Tensor {
	if current == nil {
		lib.AtFree(c)
		Fail("tensor", "op outside torch.Do")
	}
	t := &Tensor{c: c}
	live.Add(1)
	t.born()
	current.add(t)
	return t
}

// fromLibtch wraps slot 0 after a call of libtch, or fails with the error that libtch left behind.
func fromLibtch(op string, args ...*Tensor) *Tensor {
	if p := unsafe.Pointer(lib.GetAndResetLastErr()); p != nil {
		slots[0] = nil
		fail(op, takeError(p), args)
	}
	c := slots[0]
	slots[0] = nil
	return wrap(c)
}

// slot is slot 0 as the bridge wants it.
func slot() *C.ct_tensor { return (*C.ct_tensor)(unsafe.Pointer(&slots[0])) }

// secondSlot is slot 1 as the bridge wants it.
func secondSlot() *C.ct_tensor { return (*C.ct_tensor)(unsafe.Pointer(&slots[1])) }

// fromBridge wraps slot 0 after a call of the bridge, or fails with the message that the call returned.
func fromBridge(op string, e *C.char, args ...*Tensor) *Tensor {
	checkBridge(op, e, args...)
	c := slots[0]
	slots[0] = nil
	return wrap(c)
}

// checkBridge fails with the bridge's message, if any.
func checkBridge(op string, e *C.char, args ...*Tensor) {
	if e != nil {
		slots[0] = nil
		fail(op, takeError(unsafe.Pointer(e)), args)
	}
}

func (t *Tensor) cHandle() C.ct_tensor { return C.ct_tensor(unsafe.Pointer(t.alive())) }

func optionalC(t *Tensor) C.ct_tensor {
	if t == nil {
		return nil
	}
	return t.cHandle()
}

// Keep takes t out of its scope: it lives until Free. Keeping twice is harmless. It returns t.
func (t *Tensor) Keep() *Tensor {
	t.alive()
	if t.scope != nil {
		t.scope.owned[t.index] = nil
		t.scope = nil
	}
	return t
}

// Free releases t now. Freeing nil or a freed tensor does nothing.
func (t *Tensor) Free() {
	if t == nil || t.c == nil {
		return
	}
	checkThread()
	if t.scope != nil {
		t.scope.owned[t.index] = nil
		t.scope = nil
	}
	t.release()
}

func (t *Tensor) release() {
	if t.c != nil {
		lib.AtFree(t.c)
		t.c = nil
		live.Add(-1)
		t.died()
	}
}

// Freed says whether t was freed, by Free or by the end of its scope.
func (t *Tensor) Freed() bool { return t == nil || t.c == nil }

// Rank is the number of dimensions.
func (t *Tensor) Rank() int { return int(lib.AtDim(t.alive())) }

// Shape is a copy of the extents; an empty slice for a scalar.
func (t *Tensor) Shape() []int64 {
	s := make([]int64, lib.AtDim(t.alive()))
	if len(s) > 0 {
		lib.AtShape(t.c, unsafe.Pointer(&s[0]))
	}
	return s
}

// Dim is the extent of dimension d; negative d counts from the end.
func (t *Tensor) Dim(d int) int64 {
	var buf [8]int64
	n := int(lib.AtDim(t.alive()))
	if d < 0 {
		d += n
	}
	if d < 0 || d >= n || n > len(buf) {
		fail("dim", fmt.Sprintf("dimension %d of a tensor with %d", d, n), []*Tensor{t})
	}
	lib.AtShape(t.c, unsafe.Pointer(&buf[0]))
	return buf[d]
}

// Numel is the number of elements.
func (t *Tensor) Numel() int64 {
	n := int64(1)
	for _, d := range t.Shape() {
		n *= d
	}
	return n
}

// DType is the element type.
func (t *Tensor) DType() DType { return DType(lib.AtScalarType(t.alive())) }

// Device is where the elements are.
func (t *Tensor) Device() Device { return Device(C.ct_device(t.cHandle()) + 1) }
