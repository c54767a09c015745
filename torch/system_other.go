//go:build !linux

package torch

// #include <pthread.h>
// #include <stdint.h>
// static int64_t this_thread(void) { return (int64_t)(intptr_t)pthread_self(); }
import "C"

import "runtime"

// thread tells the calling thread from all others that live.
func thread() int64 { return int64(C.this_thread()) }

// affinity are the processors of the machine: only Linux tells which of them this process may run on.
func affinity() []int {
	all := make([]int, runtime.NumCPU())
	for i := range all {
		all[i] = i
	}
	return all
}
