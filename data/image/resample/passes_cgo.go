//go:build cgo

package resample

/*
#cgo CFLAGS: -O3
#cgo portable CFLAGS: -DCAPTIONER_PORTABLE
#include "passes.h"
*/
import "C"

import "unsafe"

// passes is the implementation in C, where the processor has what it needs.
var passes = choose()

func choose() implementation {
	if C.captioner_has_avx2() != 0 {
		return implementation{rows: avx2Rows, columns: avx2Columns}
	}
	return pure
}

func avx2Rows(dst, src []byte, srcLen int, a *axis) {
	outW := len(a.first)
	rows := len(dst) / (3 * outW)
	C.captioner_rows(addr(dst), addr(src), C.int(rows), C.ptrdiff_t(srcLen), C.int(outW),
		ints(a.first), ints(a.weight), ints(padded(a)), C.int(a.stride))
}

func avx2Columns(dst, src []byte, rowLen int, a *axis) {
	C.captioner_columns(addr(dst), addr(src), C.int(len(a.first)), C.ptrdiff_t(rowLen),
		ints(a.first), ints(a.count), ints(a.weight), C.int(a.stride))
}

// padded returns the counts rounded up to the groups of four taps that
// captioner_rows works in.
func padded(a *axis) []int32 {
	groups := make([]int32, len(a.count))
	for i, n := range a.count {
		groups[i] = (n + 3) / 4
	}
	return groups
}

func addr(b []byte) *C.uchar { return (*C.uchar)(unsafe.Pointer(unsafe.SliceData(b))) }

func ints(v []int32) *C.int { return (*C.int)(unsafe.Pointer(unsafe.SliceData(v))) }
