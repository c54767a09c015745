package optim

import (
	"fmt"
	"slices"

	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
)

// Group is a set of parameters that share settings.
type Group struct {
	Params      []nn.Param
	WeightDecay float64
	LRScale     float64 // multiplies the learning rate of a step; 1 for the usual one
}

// SplitDecay makes two groups: matrices, which decay, and everything else (biases, norms, vectors), which does not.
// Names for which never returns true do not decay either; never may be nil.
func SplitDecay(params []nn.Param, decay float64, never func(name string) bool) []Group {
	with, without := Group{WeightDecay: decay, LRScale: 1}, Group{LRScale: 1}
	for _, p := range params {
		if p.Tensor.Rank() >= 2 && (never == nil || !never(p.Name)) {
			with.Params = append(with.Params, p)
		} else {
			without.Params = append(without.Params, p)
		}
	}
	return []Group{with, without}
}

// AdamW is Loshchilov and Hutter's optimizer (2019, algorithm 2) over fused steps. Parameters and state are float32.
type AdamW struct {
	Beta1, Beta2, Eps float64
	groups            []*moments
}

// moments are the running averages of one group.
type moments struct {
	Group
	p, m, v, steps []*torch.Tensor
}

// NewAdamW makes an optimizer whose averages are zero. The parameters must be leaves that want gradients.
func NewAdamW(groups []Group, beta1, beta2, eps float64) *AdamW {
	a := &AdamW{Beta1: beta1, Beta2: beta2, Eps: eps}
	for _, g := range groups {
		s := &moments{Group: g}
		for _, p := range g.Params {
			shape, dev := p.Tensor.Shape(), p.Tensor.Device()
			s.p = append(s.p, p.Tensor)
			s.m = append(s.m, torch.Zeros(torch.Float32, dev, shape...).Keep())
			s.v = append(s.v, torch.Zeros(torch.Float32, dev, shape...).Keep())
			s.steps = append(s.steps, torch.Zeros(torch.Float32, dev).Keep())
		}
		a.groups = append(a.groups, s)
	}
	return a
}

// Step moves every parameter that has a gradient, with learning rate lr. scaler may be nil.
func (a *AdamW) Step(lr float64, scaler *GradScaler) {
	torch.Scoped(func() {
		for _, s := range a.groups {
			var p, g, m, v, steps []*torch.Tensor
			for i, t := range s.p {
				if grad := t.Grad(); grad != nil {
					p, g, m, v, steps = append(p, t), append(g, grad), append(m, s.m[i]), append(v, s.v[i]), append(steps, s.steps[i])
				}
			}
			var found *torch.Tensor
			if scaler != nil {
				found = scaler.found
			}
			torch.AdamW(p, g, m, v, steps, lr*s.LRScale, a.Beta1, a.Beta2, s.WeightDecay, a.Eps, nil, found)
		}
	})
}

// ClearGrad drops all gradients.
func (a *AdamW) ClearGrad() {
	for _, s := range a.groups {
		for _, t := range s.p {
			t.ClearGrad()
		}
	}
}

// Grads lists the gradients that are there. They belong to the current scope.
func (a *AdamW) Grads() []*torch.Tensor {
	var out []*torch.Tensor
	for _, s := range a.groups {
		for _, t := range s.p {
			if g := t.Grad(); g != nil {
				out = append(out, g)
			}
		}
	}
	return out
}

// ClipGradNorm scales all gradients so that their common 2-norm is at most limit, and returns the norm before. 0 means
// no limit.
func (a *AdamW) ClipGradNorm(limit float64) float64 {
	var norm float64
	torch.Scoped(func() {
		norm = a.GradNorm().Float()
		a.ClipGrad(norm, limit)
	})
	return norm
}

// GradNorm is the common 2-norm of all gradients: a scalar where they are, 0 where there are none.
func (a *AdamW) GradNorm() *torch.Tensor {
	g := a.Grads()
	if len(g) == 0 {
		return torch.Zeros(torch.Float32, torch.CPU)
	}
	return torch.GlobalNorm(g)
}

// ClipGrad scales all gradients, whose common norm is norm, so that it becomes at most limit. 0 means no limit.
func (a *AdamW) ClipGrad(norm, limit float64) {
	if limit > 0 && norm > limit {
		torch.Scoped(func() { torch.ScaleAll(a.Grads(), limit/(norm+1e-6)) })
	}
}

// Save copies the state: for each parameter NAME, prefix + "NAME.exp_avg", ".exp_avg_sq" and ".step".
func (a *AdamW) Save(prefix string) []weights.NamedTensor {
	var out []weights.NamedTensor
	a.each(func(name string, t *torch.Tensor) error { out = append(out, t.Named(prefix+name)); return nil })
	return out
}

// Load puts back what Save gave.
func (a *AdamW) Load(src weights.Source, prefix string) error {
	return a.each(func(name string, t *torch.Tensor) error { return copyFrom(src, prefix+name, t) })
}

func (a *AdamW) each(f func(name string, t *torch.Tensor) error) error {
	for _, s := range a.groups {
		for i, p := range s.Params {
			for _, x := range []struct {
				name string
				t    *torch.Tensor
			}{{"exp_avg", s.m[i]}, {"exp_avg_sq", s.v[i]}, {"step", s.steps[i]}} {
				if err := f(p.Name+"."+x.name, x.t); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// copyFrom writes the stored tensor name into t.
func copyFrom(src weights.Source, name string, t *torch.Tensor) error {
	n, err := src.Tensor(name)
	if err != nil {
		return err
	}
	if want := t.Shape(); !slices.Equal(n.Shape, want) {
		return fmt.Errorf("load optimizer state %q: found shape %v, want %v", name, n.Shape, want)
	}
	torch.NoGrad(func() { torch.Scoped(func() { t.Copy(torch.FromNamed(n, false)) }) })
	return nil
}

// Free releases the state.
func (a *AdamW) Free() {
	a.each(func(_ string, t *torch.Tensor) error { t.Free(); return nil })
}
