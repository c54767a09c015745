package nn

import "captioner/torch"

// Packed is a linear layer prepared for inference: its weight laid out as oneDNN wants it where it is on the CPU. It holds its own tensors.
type Packed struct {
	weight, bias *torch.Tensor
	packed       bool
	act          torch.Activation
}

// NewPacked prepares x weightᵀ + bias in type d (packed in float32 and bfloat16): weight [out, in], bias [out] or nil.
func NewPacked(weight, bias *torch.Tensor, d torch.DType) Packed {
	l := Packed{packed: weight.Device() == torch.CPU && (d == torch.Float32 || d == torch.BFloat16)}
	torch.NoGrad(func() {
		torch.Scoped(func() {
			w := weight.Detach().To(d).Contiguous()
			if l.packed {
				l.weight = torch.PackLinear(w).Keep()
			} else {
				l.weight = w.Clone().Keep()
			}
			if bias != nil {
				l.bias = bias.Detach().Move(bias.Device(), d, true).Keep()
			}
		})
	})
	return l
}

// Forward maps [..., in] in the layer's type to [..., out].
func (l *Packed) Forward(x *torch.Tensor) *torch.Tensor {
	if l.packed {
		return torch.PackedLinear(x, l.weight, l.bias, l.act)
	}
	x = torch.Linear(x, l.weight, l.bias)
	switch l.act {
	case torch.SiLU:
		return x.Mul(x.Sigmoid())
	case torch.GELUErf:
		return x.GELU(false)
	}
	return x
}

// Free releases the tensors.
func (l *Packed) Free() {
	l.weight.Free()
	l.bias.Free()
}

// Fixed is a LayerNorm prepared for inference, in float32. It holds its own tensors.
type Fixed struct {
	weight, bias *torch.Tensor
	eps          float64
}

// NewFixed copies n.
func NewFixed(n *LayerNorm) Fixed {
	keep := func(t *torch.Tensor) *torch.Tensor { return t.Detach().Move(t.Device(), torch.Float32, true).Keep() }
	return Fixed{keep(n.Weight), keep(n.Bias), n.Eps}
}

// Forward gives x [..., C] (float32) normalised, in type d.
func (n *Fixed) Forward(x *torch.Tensor, d torch.DType) *torch.Tensor {
	return torch.LayerNorm(x, []int64{x.Dim(-1)}, n.weight, n.bias, n.eps).To(d)
}

// Free releases the tensors.
func (n *Fixed) Free() {
	n.weight.Free()
	n.bias.Free()
}
