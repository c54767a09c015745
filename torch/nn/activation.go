package nn

import "captioner/torch"

// Activation is what stands between the two layers of a transformer's MLP.
type Activation int

// The activations.
const (
	GELU      Activation = iota // x Φ(x) (Hendrycks and Gimpel 2016)
	QuickGELU                   // x sigmoid(1.702 x), the coarser form that CLIP has
	ReLU                        // max(x, 0)
	GELUTanh                    // GELU by its approximation with tanh, as SigLIP has it
)

// quick is the factor inside QuickGELU.
const quick = 1.702

// Forward applies a to each element.
func (a Activation) Forward(x *torch.Tensor) *torch.Tensor {
	switch a {
	case QuickGELU:
		return x.Mul(x.MulScalar(quick).Sigmoid())
	case ReLU:
		return x.Relu()
	}
	return x.GELU(a == GELUTanh)
}

// fused is the kernel of a packed layer that applies a to its result; QuickGELU has none.
func (a Activation) fused() torch.Activation {
	switch a {
	case ReLU:
		return torch.ReLU
	case GELUTanh:
		return torch.GELUTanh
	}
	return torch.GELUErf
}
