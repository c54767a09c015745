//go:build linux

package resample

import (
	"bytes"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
)

// TestReadsWithinSource puts images right before a page that must not be
// read: the C passes load more bytes at a time than a pixel has, and one load
// too far ends the test with a fault.
func TestReadsWithinSource(t *testing.T) {
	page := os.Getpagesize()
	mem, err := syscall.Mmap(-1, 0, 17*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Skipf("no memory map: %v", err)
	}
	defer syscall.Munmap(mem)
	if err := syscall.Mprotect(mem[16*page:], syscall.PROT_NONE); err != nil {
		t.Skipf("no guard page: %v", err)
	}
	rng := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		w, h, outW, outH := 1+rng.IntN(40), 1+rng.IntN(40), 1+rng.IntN(40), 1+rng.IntN(40)
		src := mem[16*page-3*w*h : 16*page]
		copy(src, testImage(rng, w, h, false))
		for _, rowsFirst := range []bool{true, false} {
			r := Rect{0, 0, outW, outH}
			got := scale(src, w, h, outW, outH, r, Cubic, rowsFirst, passes)
			want := scale(src, w, h, outW, outH, r, Cubic, rowsFirst, pure)
			if !bytes.Equal(got, want) {
				t.Errorf("%dx%d to %dx%d: got other bytes than the passes in Go", w, h, outW, outH)
			}
		}
	}
}
