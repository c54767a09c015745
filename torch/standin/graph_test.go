//go:build standin

package standin_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"captioner/torch"
	"captioner/torch/standin"
	"captioner/torch/torchtest"
)

// What is replayed is what was recorded, on what its tensors hold now: y = x·w + i, where i was 1 when it was recorded.
func TestGraphsReplayWhatWasRecorded(t *testing.T) {
	torchtest.Do(t, func() {
		dev := torch.CUDA(1)
		x, w, y := torch.Full(2, torch.Float32, dev, 2, 2), torch.Full(3, torch.Float32, dev, 2, 2),
			torch.Zeros(torch.Float32, dev, 2, 2)
		i := 1.0
		g, err := torch.Record(dev, func() { y.Narrow(0, 1, 1).Copy(x.Matmul(w).AddScalar(i).Select(0, 0)) })
		if err != nil {
			t.Fatal(err)
		}
		defer g.Free()
		i = 100
		x.Copy(torch.Full(5, torch.Float32, torch.CPU))
		before := standin.Count()
		g.Replay()
		if c := standin.Count().Since(before); c.Waiting() != 0 || c.Uploads != 0 || c.Ops == 0 {
			t.Errorf("got %+v, want ops alone", c)
		}
		if got := torch.Slice[float32](y); got[0] != 0 || got[2] != 31 || got[3] != 31 {
			t.Errorf("got %v, want [0 0 31 31]", got)
		}
	})
}

// What may not be recorded is refused with CUDA's reason, and the GPU goes on.
func TestGraphsRefuseCrossings(t *testing.T) {
	for name, f := range map[string]func(x *torch.Tensor){
		"download": func(x *torch.Tensor) { x.Bytes() },
		"upload":   func(x *torch.Tensor) { torch.Upload([]float32{1}, x.Device()) },
		"number":   func(x *torch.Tensor) { x.Sum().Float() },
	} {
		t.Run(name, func(t *testing.T) {
			torchtest.Do(t, func() {
				x := torch.Full(2, torch.Float32, torch.CUDA(0), 2)
				_, err := torch.Record(torch.CUDA(0), func() { f(x) })
				var reason *torch.GraphError
				if !errors.As(err, &reason) || !strings.Contains(reason.Reason, "stream is capturing") {
					t.Errorf("got %v, want that the stream is capturing", err)
				}
				if v := x.Sum().Float(); v != 4 {
					t.Errorf("after it: got %v, want 4", v)
				}
			})
		})
	}
}

// What fails without being recorded fails as it does elsewhere, and nothing stays behind.
func TestGraphsPassFailures(t *testing.T) {
	err := torch.Do(context.Background(), func() error {
		_, err := torch.Record(torch.CUDA(0), func() { torch.Fail("work", "no") })
		return err
	})
	var op *torch.OpError
	if !errors.As(err, &op) || op.Msg != "no" {
		t.Errorf("got %v, want what the work said", err)
	}
	torchtest.Do(t, func() {
		if _, err := torch.Record(torch.CUDA(0), func() {}); err != nil {
			t.Errorf("after it: %v", err)
		}
	})
}

// An upload takes one copy.
func TestUpload(t *testing.T) {
	torchtest.Do(t, func() {
		before := standin.Count()
		x := torch.Upload([]uint8{1, 2, 3, 4, 5, 6}, torch.CUDA(1), 2, 3)
		if c := standin.Count().Since(before); c.Uploads != 1 || c.UploadBytes != 6 || c.Waiting() != 0 {
			t.Errorf("got %+v, want one upload of 6 bytes", c)
		}
		if got := torch.Slice[uint8](x.Select(0, 1)); got[0] != 4 || got[2] != 6 {
			t.Errorf("got %v, want [4 5 6]", got)
		}
	})
}
