package torch

// #include <stdlib.h>
// #include "kernels/bridge.h"
import "C"

import (
	"fmt"
	"os"
	"strings"
	"unsafe"
)

// Version is libtorch's version, "2.11.0".
func Version() string { return C.GoString(C.ct_version()) }

// CPUCapability is the widest instruction set that libtorch's own kernels use here: "AVX512", "AVX2" or "DEFAULT".
func CPUCapability() string { return C.GoString(C.ct_cpu_capability()) }

// CPUFeatures are those of AVX2, AVX512, AVX512-BF16, AVX512-VNNI, AMX-BF16 and AMX-INT8 that the processor has, by the
// kernel's word.
func CPUFeatures() []string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return nil
	}
	_, line, _ := strings.Cut(string(b), "\nflags")
	line, _, _ = strings.Cut(line, "\n")
	have := map[string]bool{}
	for _, f := range strings.Fields(line) {
		have[f] = true
	}
	var out []string
	for _, f := range [][2]string{
		{"avx2", "AVX2"},
		{"avx512f", "AVX512"},
		{"avx512_bf16", "AVX512-BF16"},
		{"avx512_vnni", "AVX512-VNNI"},
		{"amx_bf16", "AMX-BF16"},
		{"amx_int8", "AMX-INT8"},
	} {
		if have[f[0]] {
			out = append(out, f[1])
		}
	}
	return out
}

// ISAs are the names that LimitISA takes beside all, from the narrowest on.
var ISAs = []string{"plain", "avx2", "avxvnni", "avx512", "avx512vnni", "avx512bf16"}

// LimitISA keeps this package's own kernels to what a narrower processor has, one of ISAs; "" or all for no limit. At
// the start the limit is what CAPTIONER_ISA says, where that is one of these names. It is for tests, and for processors
// whose wide instructions are slow. libtorch's own kernels are limited by ATEN_CPU_CAPABILITY and ONEDNN_MAX_CPU_ISA.
func LimitISA(name string) error {
	c := C.CString(name)
	defer C.free(unsafe.Pointer(c))
	if C.ct_isa_limit(c) == 0 {
		return fmt.Errorf("limit instructions: found %q, want all or one of %s", name, strings.Join(ISAs, ", "))
	}
	return nil
}

// HasISA says whether this package's kernels may use one of avx2, avxvnni, avx512, avx512vnni, avx512bf16, or oneDNN
// amx: the processor has it, and the limit leaves it.
func HasISA(name string) bool {
	c := C.CString(name)
	defer C.free(unsafe.Pointer(c))
	return C.ct_isa_has(c) != 0
}

// LibraryPath is the file that libtorch_cpu was loaded from; "" where the kernel does not tell.
func LibraryPath() string {
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		if i := strings.IndexByte(line, '/'); i >= 0 && strings.HasSuffix(strings.TrimSpace(line), "/libtorch_cpu.so") {
			return strings.TrimSpace(line[i:])
		}
	}
	return ""
}

// SetThreads sets how many threads an op may use; without it they are Cores, or what OMP_NUM_THREADS says. Call it
// inside Do, before the first op.
func SetThreads(n int) {
	if n < 1 {
		Fail("set threads", "found %d, want 1 or more", n)
	}
	checkBridge("set threads", C.ct_set_threads(C.int(n)))
	threadsGiven = true
}

// threadsGiven says that somebody has said how many threads there are. Only the torch thread uses it.
var threadsGiven bool

// ThreadsGiven says whether SetThreads or the environment has set the number of threads. Call it inside Do.
func ThreadsGiven() bool { return threadsGiven }

// spread gives the torch thread as many threads as there are cores for it, unless the environment says how many:
// libtorch itself takes every processor that the machine has.
func spread() {
	for _, name := range []string{"OMP_NUM_THREADS", "MKL_NUM_THREADS"} {
		if os.Getenv(name) != "" {
			threadsGiven = true
			return
		}
	}
	C.ct_set_threads(C.int(Cores())) // cannot fail for a positive number
}

// Threads is how many threads an op may use.
func Threads() int { return int(C.ct_threads()) }

// ParallelThreads is how many threads this package's own kernels are really spread over: Threads, unless the build left
// OpenMP out.
func ParallelThreads() int { return int(C.ct_parallel_threads()) }
