package gpt2

import (
	"math"
	"testing"

	"captioner/models/batch"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/torch/torchtest"
)

// Texts that share the tokens of their beginnings are learned as each text by itself, with a memory of one position or
// of more, by the kernels and by plain products.
func TestSharedTokensLearnAlike(t *testing.T) {
	texts := [][]int32{{1, 2, 3, 9}, {1, 2, 4, 9}, {1, 2, 3, 9}, {1, 5, 9}, {1, 6, 9}, {1, 5, 7, 9}}
	values := []float32{1, -3, 2, .5, .25, .25} // of the first image they cancel out
	for _, tt := range []struct {
		name      string
		positions int64
		after     int
		dtype     torch.DType // of autocast
		tolerance float64
	}{
		{"a memory of one position", 1, 0, torch.Float32, 1e-5},
		{"a grid", 5, 0, torch.Float32, 1e-5},
		{"a grid, behind a prompt", 5, 1, torch.Float32, 1e-5},
		{"no memory", 0, 0, torch.Float32, 1e-5},
		{"by plain products", 5, 0, torch.Float16, 3e-2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			torchtest.Do(t, func() {
				one := learnTexts(t, tt.dtype, tt.positions, func(m *Model, memory *torch.Tensor) *torch.Tensor {
					b, err := batch.Pack(texts, torch.CPU)
					if err != nil {
						t.Fatal(err)
					}
					b.After(tt.after)
					return nll(m, b, memory).Mul(b.Spread(values)).Sum()
				})
				two := learnTexts(t, tt.dtype, tt.positions, func(m *Model, memory *torch.Tensor) *torch.Tensor {
					b, weights, err := batch.Share(texts, 2, values, tt.after, torch.CPU)
					if err != nil {
						t.Fatal(err)
					}
					return nll(m, b, memory).Mul(weights).Sum()
				})
				if len(one) < 10 || len(one) != len(two) {
					t.Fatalf("got %d and %d tensors, want as many, and the weights among them", len(one), len(two))
				}
				for name, want := range one {
					torchtest.CloseTo(t, name, two[name], want, torchtest.Tolerance{Rel: tt.tolerance, Abs: 1e-6})
				}
			})
		})
	}
}

func nll(m *Model, b *batch.Texts, memory *torch.Tensor) *torch.Tensor {
	logits := m.Forward(b, memory, false).To(torch.Float32)
	return torch.CrossEntropyAt(.7, logits, b.Targets, torch.Each, batch.Ignore, 0)
}

// learnTexts gives the loss of the fixture's model under autocast to d, and all gradients.
func learnTexts(
	t *testing.T, d torch.DType, positions int64, loss func(*Model, *torch.Tensor) *torch.Tensor,
) map[string]*torch.Tensor {
	t.Helper()
	m := load(t, torchtest.Fixture(t, fixture), torch.CPU, true)
	defer m.Free()
	nn.Trainable(m)
	var memory *torch.Tensor
	if positions > 0 {
		torch.Seed(3)
		memory = torch.Randn(torch.Float32, torch.CPU, 2, positions, m.Config.Width).RequireGrad(true)
	}
	var l *torch.Tensor
	torch.Autocast(torch.CPU, d, func() { l = loss(m, memory) })
	l.Backward()
	out := map[string]*torch.Tensor{"loss": l.Detach().To(torch.Float32)}
	for _, p := range nn.State(m) {
		if g := p.Tensor.Grad(); g != nil {
			out[p.Name] = g.To(torch.Float32).Clone()
		}
	}
	if memory != nil {
		out["memory"] = memory.Grad().To(torch.Float32)
	}
	if v := torch.Floats(l)[0]; math.IsNaN(v) {
		t.Errorf("got the loss %v", v)
	}
	return out
}
