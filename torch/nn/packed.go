package nn

import "captioner/torch"

// Packed is a linear layer prepared for inference: on a CPU its weight is laid out as the engine wants it that Kernels
// choose, on a GPU it stays as it is. It holds its own tensors.
type Packed struct {
	panels       *torch.Panels
	weight, bias *torch.Tensor // weight: without panels
	packed       bool
	dtype        torch.DType // of what goes in and comes out
	act          torch.Activation
}

// Activations is the type of what passes between layers of type d: bfloat16 between those of int8.
func Activations(d torch.DType) torch.DType {
	if d == torch.Int8 {
		return torch.BFloat16
	}
	return d
}

// Unquantized is the type that layers take which int8 would spoil or has no kernel for: d itself, or where that is int8
// the quickest of those that change little.
func Unquantized(d torch.DType) torch.DType {
	switch {
	case d != torch.Int8:
		return d
	case torch.HasISA("avx512bf16"):
		return torch.BFloat16
	}
	return torch.Float32
}

// NewPacked prepares act(x weightᵀ + bias) in type d, for few rows at a time: weight [out, in], bias [out] or nil. Int8
// is for the CPU. A weight is forgotten when it is laid out (torch.Tensor.Forget), so that a file's pages, or a copy
// that was loaded for this alone, and what is made of them are not in memory together.
func NewPacked(weight, bias *torch.Tensor, act torch.Activation, d torch.DType) Packed {
	return NewPackedFor(Decoder, weight, bias, act, d)
}

// NewPackedFor is NewPacked for a use: Encoder for hundreds of rows at a time.
func NewPackedFor(use Use, weight, bias *torch.Tensor, act torch.Activation, d torch.DType) Packed {
	defer weight.Forget()
	if weight.Device() != torch.CPU {
		return PackedBy("", weight, bias, act, d)
	}
	e := engine(d, use, weight)
	l := PackedBy(e, weight, bias, act, d)
	if d != torch.Int8 && torch.HasPanels(d) && !l.SameBits(e, weight.Dim(1), weight.Dim(0)) {
		l.Free()
		return PackedBy(Own, weight, bias, act, d)
	}
	return l
}

// PackedBy is NewPacked with an engine of its own; "" for a device that has none.
func PackedBy(e Engine, weight, bias *torch.Tensor, act torch.Activation, d torch.DType) Packed {
	l := Packed{dtype: Activations(d), act: act}
	torch.NoGrad(func() {
		torch.Scoped(func() {
			w := weight.Detach()
			switch {
			case e == Own || e != "" && d == torch.Int8:
				if e == OneDNN {
					torch.HandOver(handOver)
				}
				l.panels = torch.NewPanels(w, d)
				if bias != nil {
					l.bias = bias.Detach().Move(torch.CPU, torch.Float32, true).Keep()
				}
				return
			case e == OneDNN && (d == torch.Float32 || d == torch.BFloat16):
				l.packed, l.weight = true, torch.PackLinear(w.To(d).Contiguous()).Keep()
			default:
				l.weight = w.Move(w.Device(), d, true).Contiguous().Keep()
			}
			if bias != nil {
				l.bias = bias.Detach().Move(bias.Device(), d, true).Keep()
			}
		})
	})
	return l
}

// Forward maps x [..., in] to [..., out] in the layer's activation type. norm, if not nil, goes before it.
func (l *Packed) Forward(x *torch.Tensor, norm *PackedNorm) *torch.Tensor {
	return l.forward(x, norm, nil, l.dtype)
}

// ForwardFloat32 is Forward with a result in float32, and residual added to it, if not nil: float32 [..., out].
func (l *Packed) ForwardFloat32(x *torch.Tensor, norm *PackedNorm, residual *torch.Tensor) *torch.Tensor {
	return l.forward(x, norm, residual, torch.Float32)
}

// TopKLogProbs gives for each row of x [rows, in] the k best outputs with their log-probabilities, as
// torch.TopKLogProbs does. norm, if not nil, goes before it. The layer has no activation.
func (l *Packed) TopKLogProbs(
	x *torch.Tensor, norm *PackedNorm, k int, ban [][]int32,
) (ids []int32, logProbs []float32) {
	if l.panels != nil && l.bias == nil {
		var f torch.Fused
		if norm != nil {
			f.NormWeight, f.NormBias, f.Epsilon = norm.weight, norm.bias, norm.eps
		}
		return l.panels.TopKLogProbs(x, f, k, ban)
	}
	return torch.TopKLogProbs(l.ForwardFloat32(x, norm, nil), k, 1, ban)
}

func (l *Packed) forward(x *torch.Tensor, norm *PackedNorm, residual *torch.Tensor, d torch.DType) *torch.Tensor {
	if l.panels != nil {
		f := torch.Fused{Bias: l.bias, Act: l.act, Residual: residual, BFloat16: d == torch.BFloat16}
		if norm != nil {
			f.NormWeight, f.NormBias, f.Epsilon = norm.weight, norm.bias, norm.eps
		}
		return l.panels.Product(x, f)
	}
	if norm != nil {
		x = norm.Forward(x, l.dtype)
	} else {
		x = x.To(l.dtype)
	}
	if l.packed {
		x = torch.PackedLinear(x, l.weight, l.bias, l.act)
	} else {
		x = activate(torch.Linear(x, l.weight, l.bias), l.act)
	}
	if x = x.To(d); residual != nil {
		x = x.Add(residual)
	}
	return x
}

func activate(x *torch.Tensor, act torch.Activation) *torch.Tensor {
	switch act {
	case torch.SiLU:
		return x.Mul(x.Sigmoid())
	case torch.GELUErf:
		return x.GELU(false)
	case torch.GELUTanh:
		return x.GELU(true)
	case torch.ReLU:
		return x.Relu()
	}
	return x
}

// AnyRows says that the layer has one kernel for every number of rows.
func (l *Packed) AnyRows() bool { return l.panels != nil }

// Free releases the tensors.
func (l *Packed) Free() {
	l.panels.Free()
	l.weight.Free()
	l.bias.Free()
}

// PackedNorm is a LayerNorm prepared for inference, in float32. It holds its own tensors.
type PackedNorm struct {
	weight, bias *torch.Tensor
	eps          float64
}

// NewPackedNorm copies n.
func NewPackedNorm(n *LayerNorm) PackedNorm {
	keep := func(t *torch.Tensor) *torch.Tensor { return t.Detach().Move(t.Device(), torch.Float32, true).Keep() }
	return PackedNorm{keep(n.Weight), keep(n.Bias), n.Eps}
}

// Forward gives x [..., C] (float32) normalized, in type d.
func (n *PackedNorm) Forward(x *torch.Tensor, d torch.DType) *torch.Tensor {
	return torch.LayerNorm(x, []int64{x.Dim(-1)}, n.weight, n.bias, n.eps).To(d)
}

// Free releases the tensors.
func (n *PackedNorm) Free() {
	n.weight.Free()
	n.bias.Free()
}
