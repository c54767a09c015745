package efficientnet

import (
	"fmt"
	"testing"

	"captioner/torch"
	"captioner/torch/nn"
	"captioner/torch/torchtest"
)

// What enters a stage, by the encoder for inference, and what the stages make of it, by the net that learns, give the
// grid; and the gradients are those of the net as it is written down.
func TestUpperContinuesLower(t *testing.T) {
	torchtest.EachDevice(t, func(t *testing.T, dev torch.Device) {
		m, err := New(Lite0().WithoutHead())
		if err != nil {
			t.Fatal(err)
		}
		defer m.Free()
		randomise(m)
		nn.Move(m, dev)
		e := m.Encoder(torch.Float32)
		defer e.Free()
		torch.Seed(3)
		x := torch.Randn(torch.Float32, dev, 3, 3, 70, 70)
		all, err := m.Tunable(0)
		if err != nil {
			t.Fatal(err)
		}
		weigh := torch.Randn(
			torch.Float32,
			dev,
			3,
			m.Config.GridSide(70)*m.Config.GridSide(70),
			m.Config.GridChannels(),
		)
		want := m.Grid(x)
		want.Mul(weigh).Sum().Backward()
		grads := map[string]*torch.Tensor{}
		for _, p := range all {
			grads[p.Name] = p.Tensor.Grad().Clone()
			p.Tensor.ClearGrad()
		}
		for stage := range len(m.Config.Stages) {
			in := x
			if stage > 0 {
				in = e.Lower(x, stage)
				channels, side := m.Config.StageInput(stage, 70)
				if got := fmt.Sprint(in.Shape()); got != fmt.Sprint([]int64{3, side * side, channels}) {
					t.Errorf("stage %d: got an input of %s, want %d channels of side %d", stage, got, channels, side)
				}
			}
			params, err := m.Tunable(stage)
			if err != nil {
				t.Fatal(err)
			}
			got := m.Upper(in, stage)
			torchtest.CloseTo(
				t,
				fmt.Sprintf("grid from stage %d", stage),
				got,
				want.Detach(),
				torchtest.Tolerance{Rel: 1e-4, Abs: 1e-4},
			)
			got.Mul(weigh).Sum().Backward()
			for _, p := range params {
				g := p.Tensor.Grad()
				if g == nil {
					t.Fatalf("stage %d: %s got no gradient", stage, p.Name)
				}
				// Rounding moves a few activations over an edge of ReLU6.
				if off := torchtest.NormDistance(g, grads[p.Name]); !(off < .05) {
					t.Errorf("stage %d: gradient of %s: relative distance %g", stage, p.Name, off)
				}
				p.Tensor.ClearGrad()
			}
		}
		if _, err := m.Tunable(len(m.Config.Stages)); err == nil {
			t.Error("one stage too many: got no error")
		}
	})
}

// BenchmarkUpper is a step of learning in the last two stages of Lite2, forward and backward, in images a second.
func BenchmarkUpper(b *testing.B) {
	for _, d := range []torch.DType{torch.Float32, torch.BFloat16} {
		b.Run(d.String(), func(b *testing.B) {
			torchtest.Do(b, func() {
				m, err := New(Lite2().WithoutHead())
				if err != nil {
					b.Fatal(err)
				}
				defer m.Free()
				randomise(m)
				const stage, images = 5, 25
				params, err := m.Tunable(stage)
				if err != nil {
					b.Fatal(err)
				}
				channels, side := m.Config.StageInput(stage, 260)
				x := torch.Randn(torch.Float32, torch.CPU, images, side*side, channels)
				for b.Loop() {
					torch.Scoped(func() {
						var y *torch.Tensor
						torch.Autocast(torch.CPU, d, func() { y = m.Upper(x, stage) })
						y.To(torch.Float32).Mean().Backward()
						for _, p := range params {
							p.Tensor.ClearGrad()
						}
					})
				}
				b.ReportMetric(float64(b.N)*images/b.Elapsed().Seconds(), "images/s")
			})
		})
	}
}
