package torch_test

import (
	"fmt"
	"testing"

	"captioner/torch"
	"captioner/torch/torchtest"
)

func TestLinearLearns(t *testing.T) {
	for _, tt := range []struct {
		in, out      int64
		turned, bias bool // the weight as [in, out] in memory
	}{
		{64, 2048, false, true}, {64, 2048, true, true}, {64, 9000, false, false}, {3, 5, false, true},
	} {
		t.Run(fmt.Sprintf("%+v", tt), func(t *testing.T) {
			torchtest.Do(t, func() {
				torch.Seed(1)
				shape := []int64{tt.out, tt.in}
				if tt.turned {
					shape = []int64{tt.in, tt.out}
				}
				leaves := func(d torch.DType, from []*torch.Tensor) (out []*torch.Tensor) {
					for _, x := range from {
						out = append(out, x.To(d).Detach().RequireGrad(true))
					}
					return out
				}
				start := []*torch.Tensor{
					torch.Randn(torch.Float32, torch.CPU, 3, 31, tt.in),
					torch.Randn(torch.Float32, torch.CPU, shape...),
					torch.Randn(torch.Float32, torch.CPU, tt.out),
				}
				weigh := torch.Randn(torch.Float32, torch.CPU, 3, 31, tt.out)
				run := func(d torch.DType) []*torch.Tensor {
					l := leaves(d, start)
					w, bias := l[1], l[2]
					if tt.turned {
						w = w.Transpose(0, 1)
					}
					if !tt.bias {
						bias, l = nil, l[:2]
					}
					y := torch.Linear(l[0], w, bias)
					y.Mul(weigh.To(d)).Sum().Backward()
					out := []*torch.Tensor{y.Detach()}
					for _, x := range l {
						out = append(out, x.Grad())
					}
					return out
				}
				want := run(torch.Float64)
				for i, got := range run(torch.Float32) {
					torchtest.CloseTo(
						t,
						[]string{"y", "x's gradient", "weight's gradient", "bias's gradient"}[i],
						got,
						want[i].To(torch.Float32),
						torchtest.Tolerance{Rel: 2e-6},
					)
				}
			})
		})
	}
}

// In bfloat16 the gradients of the weights stay in float32, and are as near to exact ones as the type allows.
func TestLinearLearnsUnderAutocast(t *testing.T) {
	for _, tt := range []struct {
		name    string
		in, out int64
		turned  bool
	}{
		{"a layer", 64, 2048, false}, {"a turned layer", 64, 2048, true}, {"a vocabulary", 64, 9000, false},
		{"a small layer", 3, 5, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			torchtest.Do(t, func() {
				torch.Seed(1)
				shape := []int64{tt.out, tt.in}
				if tt.turned {
					shape = []int64{tt.in, tt.out}
				}
				start := []*torch.Tensor{rounded(3, 31, tt.in), rounded(shape...), rounded(tt.out)}
				run := func(l []*torch.Tensor) []*torch.Tensor {
					if tt.turned {
						return []*torch.Tensor{torch.LinearTurned(l[0], l[1], l[2])}
					}
					return []*torch.Tensor{torch.Linear(l[0], l[1], l[2])}
				}
				want := learnFrom(torch.Float64, start, run)
				got := learnFrom(torch.Float32, start, func(l []*torch.Tensor) (out []*torch.Tensor) {
					torch.Autocast(torch.CPU, torch.BFloat16, func() { out = run(l) })
					if out[0].DType() != torch.BFloat16 {
						t.Errorf("got %v, want bfloat16", out[0].DType())
					}
					return out
				})
				same(t, torch.BFloat16, got, want)
			})
		})
	}
}

func TestKernelsUseAllThreads(t *testing.T) {
	torchtest.Do(t, func() {
		before := torch.Threads()
		defer torch.SetThreads(before)
		torch.SetThreads(2)
		if got := torch.ParallelThreads(); got != 2 {
			t.Errorf("our kernels run on %d threads, want 2", got)
		}
	})
}
