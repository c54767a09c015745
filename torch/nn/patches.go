package nn

import "captioner/torch"

// Patches is the entry of a ViT prepared for inference: the image cut into squares, each projected to a token,
// positions added, and the tokens put before them that are no part of the image. It holds its own tensors.
type Patches struct {
	dtype       torch.DType
	side, patch int64

	project   Packed        // [C, 3 p p]: the convolution as a product, since its windows do not overlap
	lead      *torch.Tensor // [1, L, C], with their positions; nil for none
	positions *torch.Tensor // [P, C]
}

// NewPatches prepares, in type d, the convolution whose stride is its kernel's side, the tokens that come first, lead
// [L, C] with their positions, or nil for none, and the positions [P, C] of side x side patches. Pixels are not
// quantized.
func NewPatches(conv *Conv2d, lead, positions *torch.Tensor, side int64, d torch.DType) Patches {
	d = Unquantized(d)
	p := Patches{dtype: d, patch: conv.Weight.Dim(-1)}
	torch.NoGrad(func() {
		torch.Scoped(func() {
			p.project = NewPacked(conv.Weight.Flatten(1, 3), conv.Bias, torch.NoActivation, d)
			if lead != nil {
				p.lead = lead.Detach().Clone().Unsqueeze(0).Keep()
			}
		})
	})
	p.Place(positions, side)
	return p
}

// Place takes other positions [P, C], of side x side patches.
func (p *Patches) Place(positions *torch.Tensor, side int64) {
	p.positions.Free()
	p.side = side
	torch.NoGrad(func() {
		torch.Scoped(func() { p.positions = positions.Detach().Clone().Keep() })
	})
}

// Side is how many patches stand in a row.
func (p *Patches) Side() int64 { return p.side }

// Forward maps images [B, 3, h, w] to tokens [B, L+P, C] in float32. Pixels behind the last whole patch are left out.
func (p *Patches) Forward(x *torch.Tensor) *torch.Tensor {
	b, side, k := x.Dim(0), p.side, p.patch
	x = x.Narrow(2, 0, side*k).Narrow(3, 0, side*k).To(p.dtype)
	x = x.Reshape(b, 3, side, k, side, k).
		Permute(0, 2, 4, 1, 3, 5).
		Reshape(b, side*side, 3*k*k)
		// [B, 3, h, w] -> [B, P, 3 p p]
	x = p.project.ForwardFloat32(x, nil, nil).Add(p.positions) // [B, P, C]
	if p.lead == nil {
		return x
	}
	return torch.Cat(1, p.lead.Expand(b, -1, -1), x)
}

// Free releases the tensors.
func (p *Patches) Free() {
	p.project.Free()
	p.lead.Free()
	p.positions.Free()
}
