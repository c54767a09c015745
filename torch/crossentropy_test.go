package torch_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"captioner/torch"
	"captioner/torch/torchtest"
)

// The reference is libtorch's own, which float64 goes to.
func TestCrossEntropy(t *testing.T) {
	const rows, classes, ignore = 7, 1003, -100
	targets := []int64{0, 5, ignore, 1002, 17, ignore, 17}
	for _, d := range []torch.DType{torch.Float32, torch.BFloat16} {
		for _, r := range []torch.Reduction{torch.Each, torch.Mean, torch.Sum} {
			for _, smoothing := range []float64{0, 0.1} {
				t.Run(fmt.Sprint(d, r, smoothing), func(t *testing.T) {
					torchtest.Do(t, func() {
						torch.Seed(1)
						start := torch.Randn(torch.Float32, torch.CPU, rows, classes).MulScalar(5).To(d)
						target := torch.FromSlice(targets, rows)
						run := func(d torch.DType) (loss, grad *torch.Tensor) {
							x := start.To(d).Detach().RequireGrad(true)
							loss = torch.CrossEntropy(x, target, r, ignore, smoothing)
							loss.MulScalar(3).Sum().Backward()
							return loss.Detach(), x.Grad()
						}
						wantLoss, wantGrad := run(torch.Float64)
						loss, grad := run(d)
						torchtest.CloseTo(t, "loss", loss, wantLoss.To(torch.Float32), torchtest.Tolerance{Rel: 1e-6})
						tol := torchtest.Tolerance{Rel: 1e-6}
						if d == torch.BFloat16 {
							tol.Rel = 4e-3 // the gradient is rounded once
						}
						torchtest.CloseTo(t, "gradient", grad.To(torch.Float32), wantGrad.To(torch.Float32), tol)
					})
				})
			}
		}
	}
}

func TestCrossEntropyRefusesForeignTargets(t *testing.T) {
	err := torch.Do(context.Background(), func() error {
		torch.CrossEntropy(torch.Zeros(torch.Float32, torch.CPU, 1, 3), torch.FromSlice([]int64{3}, 1), torch.Mean, -100, 0)
		return nil
	})
	var op *torch.OpError
	if !errors.As(err, &op) || op.Op != "cross entropy" {
		t.Errorf("got %v, want an OpError of cross entropy", err)
	}
}
