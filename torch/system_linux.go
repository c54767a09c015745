package torch

import (
	"os"
	"syscall"
	"unsafe"
)

// thread tells the calling thread from all others that live.
func thread() int64 { return int64(syscall.Gettid()) }

// affinity are the processors that the kernel lets this process run on; nil where it does not tell.
func affinity() []int {
	var mask [1024]uint64 // of 65,536 processors
	n, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_GETAFFINITY, uintptr(os.Getpid()), unsafe.Sizeof(mask),
		uintptr(unsafe.Pointer(&mask)))
	if errno != 0 {
		return nil
	}
	var all []int
	for i := range int(n) * 8 {
		if mask[i/64]>>(i%64)&1 != 0 {
			all = append(all, i)
		}
	}
	return all
}
