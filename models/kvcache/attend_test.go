package kvcache

import (
	"fmt"
	"testing"

	"captioner/torch"
	"captioner/torch/torchtest"
)

func TestMain(m *testing.M) { torchtest.OneThread(m) }

// The kernel gives what plain products give, and a row's result is the same bits beside any other rows.
func TestAttendAfterByKernelAndByProducts(t *testing.T) {
	for _, c := range []struct{ groups, rows, heads, size, before, own int64 }{
		{1, 1, 1, 16, 1, 1},
		{2, 3, 4, 64, 197, 5},
		{3, 2, 3, 24, 10, 1},
		{1, 5, 2, 72, 7, 40},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			torchtest.Do(t, func() {
				r := c.groups * c.rows
				q := torch.Randn(torch.Float32, torch.CPU, r, c.heads, c.size)
				shared := torch.Randn(torch.Float32, torch.CPU, 2, c.groups, c.heads, c.before, c.size)
				room := torch.Randn(torch.Float32, torch.CPU, 2, r, c.heads, c.own+3, c.size)
				own := room.Narrow(3, 0, c.own) // as a cache has it: with gaps
				got := AttendAfter(q, shared, own, true)
				torchtest.Close(t, "kernel", got, AttendAfter(q, shared, own, false))
				for i := range r {
					alone := AttendAfter(q.Narrow(0, i, 1), shared.Narrow(1, i/c.rows, 1), own.Narrow(1, i, 1), true)
					torchtest.CloseTo(t, "a row alone", alone, got.Narrow(0, i, 1), torchtest.Tolerance{})
				}
			})
		})
	}
}
