package torch

// #include "kernels/bridge.h"
import "C"

import "time"

// MemoryUse is what large tensors on the CPU take, in bytes. Their memory is kept when they are freed, for the tensors
// that come after them, within a bound that allocator.cpp states.
type MemoryUse struct {
	Used   int64 // in tensors now
	Peak   int64 // the most in tensors, lately
	Kept   int64 // in memory for tensors to come
	Mapped int64 // address space; what is neither used nor kept takes no memory
}

// Memory is the use of memory now. Safe from any goroutine.
func Memory() MemoryUse {
	m := C.ct_memory_now()
	return MemoryUse{Used: int64(m.used), Peak: int64(m.peak), Kept: int64(m.kept), Mapped: int64(m.mapped)}
}

// ReleaseMemory gives the memory that is kept for tensors to come back to the system. Safe from any goroutine. Do calls
// it by itself when there was nothing to do for ten seconds.
func ReleaseMemory() { C.ct_memory_release() }

// idleTime is how long the torch thread keeps memory without work.
const idleTime = 10 * time.Second

// keepMemory makes all tensors from now on use memory that is kept.
func keepMemory() { C.ct_memory_install() }
