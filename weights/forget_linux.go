package weights

import "syscall"

// forget gives the pages of a map back, as advice: where it is not taken, nothing is lost.
func forget(b []byte) { _ = syscall.Madvise(b, syscall.MADV_DONTNEED) }
