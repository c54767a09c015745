package clip

import (
	"fmt"
	"testing"

	"captioner/torch"
	"captioner/torch/torchtest"
)

// From every block on, a ViT gives the features of the whole network and the gradients that they have there, and none
// below.
func TestUpper(t *testing.T) {
	torchtest.EachDevice(t, func(t *testing.T, dev torch.Device) {
		src := torchtest.Fixture(t, "testdata/vit.safetensors")
		m := load(t, src, dev)
		defer m.Free()
		x := torch.Randn(torch.Float32, dev, 3, 3, m.Config.Vision.ImageSize, m.Config.Vision.ImageSize)
		e := m.Encoder(torch.Float32)
		defer e.Free()
		for _, f := range []Form{Raw, Normed, Projected} {
			all, err := m.Tunable(0, f)
			if err != nil {
				t.Fatal(err)
			}
			want, err := m.Tokens(x, f)
			if err != nil {
				t.Fatal(err)
			}
			weigh := torch.Randn(torch.Float32, dev, want.Shape()...)
			want.Mul(weigh).Sum().Backward()
			grads := map[string]*torch.Tensor{}
			for _, p := range all {
				if p.Tensor.Grad() == nil {
					t.Fatalf("%s: %s got no gradient", f, p.Name)
				}
				grads[p.Name] = p.Tensor.Grad().Clone()
				p.Tensor.ClearGrad()
			}
			for block := range m.Config.Vision.Layers {
				in := x
				if block > 0 {
					in = e.Lower(x, block)
				}
				params, err := m.Tunable(block, f)
				if err != nil {
					t.Fatal(err)
				}
				got := m.UpperTokens(in, block, f)
				torchtest.CloseTo(
					t,
					fmt.Sprintf("%s from block %d", f, block),
					got,
					want.Detach(),
					torchtest.Tolerance{Rel: 1e-4, Abs: 1e-4},
				)
				got.Mul(weigh).Sum().Backward()
				some := map[string]bool{}
				for _, p := range params {
					some[p.Name] = true
					torchtest.CloseTo(
						t,
						fmt.Sprintf("%s from block %d: gradient of %s", f, block, p.Name),
						p.Tensor.Grad(),
						grads[p.Name],
						torchtest.Tolerance{Rel: 1e-3, Abs: 1e-3},
					)
					p.Tensor.ClearGrad()
				}
				if n := len(all); block > 0 && len(params) >= n {
					t.Errorf("%s: %d parameters learn from block %d on, want fewer than %d", f, len(params), block, n)
				}
				for _, p := range all {
					if !some[p.Name] && p.Tensor.Grad() != nil {
						t.Errorf("%s: %s got a gradient below block %d", f, p.Name, block)
					}
				}
			}
		}
		if _, err := m.Tunable(m.Config.Vision.Layers, Raw); err == nil {
			t.Error("one block too many: got no error")
		}
		in := x
		if m.Config.Vision.Layers > 1 {
			in = e.Lower(x, 1)
			torchtest.CloseTo(
				t,
				"pooled",
				m.UpperImage(in, 1),
				m.EncodeImage(x),
				torchtest.Tolerance{Rel: 1e-4, Abs: 1e-4},
			)
		}
	})
}
