package nn

import "captioner/torch"

// Patches is the entry of a ViT prepared for inference: the image cut into squares, each projected to a token, the
// class token put before them, positions added. It holds its own tensors.
type Patches struct {
	dtype       torch.DType
	side, patch int64

	project   Packed        // [C, 3 p p]: the convolution as a product, since its windows do not overlap
	class     *torch.Tensor // [1, 1, C], the class token with its position
	positions *torch.Tensor // [T-1, C]
}

// NewPatches prepares, in type d, the convolution whose stride is its kernel's side, the class token (C elements) and
// the positions [T, C] of side x side patches and the class, which comes first. Pixels are not quantized.
func NewPatches(conv *Conv2d, class, positions *torch.Tensor, side int64, d torch.DType) Patches {
	d = Unquantized(d)
	p := Patches{dtype: d, side: side, patch: conv.Weight.Dim(-1)}
	torch.NoGrad(func() {
		torch.Scoped(func() {
			p.project = NewPacked(conv.Weight.Flatten(1, 3), conv.Bias, torch.NoActivation, d)
			p.class = class.Detach().View(1, 1, -1).Add(positions.Select(0, 0)).Keep()
			p.positions = positions.Detach().Narrow(0, 1, positions.Dim(0)-1).Clone().Keep()
		})
	})
	return p
}

// Forward maps images [B, 3, h, w] to tokens [B, T, C] in float32. Pixels behind the last whole patch are left out.
func (p *Patches) Forward(x *torch.Tensor) *torch.Tensor {
	b, side, k := x.Dim(0), p.side, p.patch
	x = x.Narrow(2, 0, side*k).Narrow(3, 0, side*k).To(p.dtype)
	x = x.Reshape(b, 3, side, k, side, k).
		Permute(0, 2, 4, 1, 3, 5).
		Reshape(b, side*side, 3*k*k)
		// [B, 3, h, w] -> [B, T-1, 3 p p]
	x = p.project.ForwardFloat32(x, nil, nil).Add(p.positions) // [B, T-1, C]
	return torch.Cat(1, p.class.Expand(b, 1, -1), x)
}

// Free releases the tensors.
func (p *Patches) Free() {
	p.project.Free()
	p.class.Free()
	p.positions.Free()
}
