//go:build standin

package train

import (
	"context"
	"testing"

	"captioner/models/train/recipe"
	"captioner/torch"
	"captioner/torch/optim"
	"captioner/torch/standin"
	"captioner/torch/torchtest"
)

// A step waits for the GPU once, however many batches it has: loss, norm and overflow are read together.
func TestStepWaitsOnce(t *testing.T) {
	src := torchtest.Fixture(t, "testdata/recipe.safetensors")
	for _, tt := range []struct {
		name       string
		dtype      torch.DType
		accumulate int
	}{
		{"float32", torch.Float32, 1},
		{"float32, four batches", torch.Float32, 4},
		{"bfloat16", torch.BFloat16, 4},
		{"float16", torch.Float16, 1},
		{"float16, four batches", torch.Float16, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			torchtest.Do(t, func() {
				l := originalLearner(t, src, recipe.Original, tt.accumulate)
				defer l.free()
				defer l.model.Free()
				if l.dtype = tt.dtype; l.dtype == torch.Float16 {
					l.scaler = optim.NewGradScaler(l.device)
				}
				for step := range 3 {
					before := standin.Count()
					if _, _, _, err := l.update(context.Background(), 1e-3); err != nil {
						t.Fatal(err)
					}
					l.state.Step++
					got := standin.Count().Since(before)
					if got.Waiting() != 1 {
						t.Errorf("step %d: got %+v, want one that waits", step, got)
					}
					if most := int64(8 * tt.accumulate); got.Uploads > most {
						t.Errorf("step %d: got %d uploads, want at most %d", step, got.Uploads, most)
					}
				}
				l.adam.ClearGrad()
			})
		})
	}
}
