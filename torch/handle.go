package torch

import "unsafe"

// Handle is the address of t's C++ tensor, for the rooms under this one that have C++ of their own. It is good while t
// lives.
func (t *Tensor) Handle() unsafe.Pointer { return unsafe.Pointer(t.alive()) }
