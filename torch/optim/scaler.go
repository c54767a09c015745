package optim

import (
	"captioner/torch"
	"captioner/weights"
)

// GradScaler scales the loss so that float16 gradients do not vanish, and leaves out steps whose gradients overflowed
// (Micikevicius et al. 2018, §3.2). Its defaults are PyTorch's: scale 65536, doubled after 2000 good steps, halved
// after a bad one.
type GradScaler struct {
	Growth, Backoff       float64
	Interval              int64
	scale, tracker, found *torch.Tensor
}

// NewGradScaler makes a scaler on a device.
func NewGradScaler(dev torch.Device) *GradScaler {
	return &GradScaler{Growth: 2, Backoff: .5, Interval: 2000,
		scale:   torch.Full(65536, torch.Float32, dev).Keep(),
		tracker: torch.Zeros(torch.Int32, dev).Keep(),
		found:   torch.Zeros(torch.Float32, dev).Keep()}
}

// Scale is loss times the scale, for Backward.
func (g *GradScaler) Scale(loss *torch.Tensor) *torch.Tensor { return loss.Mul(g.scale) }

// Value is the scale now.
func (g *GradScaler) Value() float64 { return g.scale.Float() }

// Unscale divides the optimizer's gradients by the scale and looks for overflow: where a gradient is not finite, the
// scalar that it returns, which is the scaler's, becomes 1, else 0. The step may be taken where it is 0.
func (g *GradScaler) Unscale(a *AdamW) *torch.Tensor {
	torch.Scoped(func() {
		g.found.Copy(torch.Zeros(torch.Float32, g.found.Device()))
		torch.UnscaleAll(a.Grads(), g.found, torch.Full(1, torch.Float32, g.scale.Device()).Div(g.scale))
	})
	return g.found
}

// Update adapts the scale after a step, taken or left out.
func (g *GradScaler) Update() {
	torch.UpdateScale(g.scale, g.tracker, g.found, g.Growth, g.Backoff, g.Interval)
}

// Save copies the state.
func (g *GradScaler) Save(prefix string) []weights.NamedTensor {
	return []weights.NamedTensor{g.scale.Named(prefix + "scale"), g.tracker.Named(prefix + "growth_tracker")}
}

// Load puts back what Save gave.
func (g *GradScaler) Load(src weights.Source, prefix string) error {
	if err := copyFrom(src, prefix+"scale", g.scale); err != nil {
		return err
	}
	return copyFrom(src, prefix+"growth_tracker", g.tracker)
}

// Free releases the state.
func (g *GradScaler) Free() {
	for _, t := range []*torch.Tensor{g.scale, g.tracker, g.found} {
		t.Free()
	}
}
