//go:build standin

package kvcache

import (
	"context"
	"errors"
	"strings"
	"testing"

	"captioner/torch"
	"captioner/torch/standin"
	"captioner/torch/torchtest"
)

// breaking is a step that a graph cannot hold, for it waits for the GPU.
func breaking(c *Cache) (got []float64) {
	for range 3 {
		torch.Scoped(func() {
			y := c.Step([]int64{3, 4}, func(ids *torch.Tensor) *torch.Tensor {
				ids.Sum().Float()
				return ids.To(torch.Float32).Mul(ids.To(torch.Float32))
			})
			got = append(got, y.Sum().Float())
		})
	}
	return got
}

// fixedShape is the shape of a cache whose steps are recorded.
var fixedShape = Shape{Layers: 1, Heads: 1, Size: 8, Images: 2, Width: 1, Length: 5, Device: torch.CUDA(1), Fixed: true}

// Where recording fails, steps are computed without it, and the reason is given once; where it is a must, they fail.
func TestStepsThatCannotBeRecorded(t *testing.T) {
	standin.Install()
	torchtest.Do(t, func() {
		defer SetGraphs(GraphsOff, nil)
		var reasons []string
		SetGraphs(GraphsAuto, func(s string) { reasons = append(reasons, s) })
		c := New(fixedShape)
		defer c.Free()
		for _, v := range breaking(c) {
			if v != 25 {
				t.Errorf("got %v, want 25", v)
			}
		}
		if len(reasons) != 1 || !strings.Contains(reasons[0], "stream is capturing") {
			t.Errorf("got the reasons %q, want one, once", reasons)
		}
		if Recordable(torch.CUDA(1), 5) {
			t.Error("steps are to be recorded again")
		}
	})
	err := torch.Do(context.Background(), func() error {
		defer SetGraphs(GraphsOff, nil)
		SetGraphs(GraphsOn, nil)
		c := New(fixedShape)
		defer c.Free()
		breaking(c)
		return nil
	})
	var op *torch.OpError
	if !errors.As(err, &op) || !strings.Contains(op.Msg, "stream is capturing") {
		t.Errorf("got %v, want an error with the reason", err)
	}
}

// A step that gives something else when it is replayed is not replayed.
func TestStepsThatReplayWrongly(t *testing.T) {
	standin.Install()
	torchtest.Do(t, func() {
		defer SetGraphs(GraphsOff, nil)
		var reasons []string
		SetGraphs(GraphsAuto, func(s string) { reasons = append(reasons, s) })
		c := New(fixedShape)
		defer c.Free()
		calls := 0.0
		for range 4 {
			torch.Scoped(func() {
				c.Step([]int64{3, 4}, func(ids *torch.Tensor) *torch.Tensor {
					calls++ // what the host decides stays as it was
					return ids.To(torch.Float32).MulScalar(calls)
				})
			})
		}
		if len(reasons) != 1 || !strings.Contains(reasons[0], "first replay is off") {
			t.Errorf("got the reasons %q, want that the replay is off", reasons)
		}
	})
}
