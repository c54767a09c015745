package vit

import (
	"fmt"
	"testing"

	"captioner/models/encoder"
	"captioner/torch"
	"captioner/torch/torchtest"
)

// From every block on, the network gives the features of the whole one and the gradients that they have there, and none
// below.
func TestUpper(t *testing.T) {
	src := torchtest.Fixture(t, "testdata/face.safetensors")
	tolerance := torchtest.Tolerance{Rel: 1e-3, Abs: 1e-3}
	torchtest.EachDevice(t, func(t *testing.T, dev torch.Device) {
		m := face(t, src, dev)
		defer m.Free()
		e := m.Encoder(torch.Float32)
		defer e.Free()
		x := torch.Randn(torch.Float32, dev, 3, 3, m.Config.ImageSize, m.Config.ImageSize)
		for _, kind := range []string{encoder.Tokens, encoder.Grid, encoder.PooledProjected} {
			memory := encoder.Memory{Kind: kind}
			all, err := m.Tunable(0, memory)
			if err != nil {
				t.Fatal(err)
			}
			want := m.Upper(x, 0, memory)
			torchtest.CloseTo(t, kind, e.Features(x, memory), want.Detach(), tolerance)
			weigh := torch.Randn(torch.Float32, dev, want.Shape()...)
			want.Mul(weigh).Sum().Backward()
			grads := map[string]*torch.Tensor{}
			for _, p := range all {
				if p.Tensor.Grad() == nil {
					t.Fatalf("%s: %s got no gradient", kind, p.Name)
				}
				grads[p.Name] = p.Tensor.Grad().Clone()
				p.Tensor.ClearGrad()
			}
			for block := 1; block < m.Config.Layers; block++ {
				params, err := m.Tunable(block, memory)
				if err != nil {
					t.Fatal(err)
				}
				if len(params) >= len(all) {
					t.Errorf("%s: %d parameters learn from block %d on, want fewer than %d", kind, len(params), block, len(all))
				}
				got := m.Upper(e.Lower(x, block), block, memory)
				torchtest.CloseTo(t, fmt.Sprintf("%s from block %d", kind, block), got, want.Detach(), tolerance)
				got.Mul(weigh).Sum().Backward()
				some := map[string]bool{}
				for _, p := range params {
					some[p.Name] = true
					name := fmt.Sprintf("%s from block %d: gradient of %s", kind, block, p.Name)
					torchtest.CloseTo(t, name, p.Tensor.Grad(), grads[p.Name], tolerance)
					p.Tensor.ClearGrad()
				}
				for _, p := range all {
					if !some[p.Name] && p.Tensor.Grad() != nil {
						t.Errorf("%s: %s got a gradient below block %d", kind, p.Name, block)
					}
				}
			}
		}
		if _, err := m.Tunable(m.Config.Layers, encoder.Memory{}); err == nil {
			t.Error("one block too many: got no error")
		}
	})
}
