package git

import (
	"captioner/models/bert"
	"captioner/torch"
	"captioner/torch/nn"
)

// Decoder is a model prepared for generation. It holds its own tensors; Free releases them, and the model may be
// freed before.
type Decoder struct {
	Text    *bert.Decoder
	project nn.Packed
	norm    nn.PackedNorm
}

// Decoder prepares m in type d; see bert.Model.Decoder.
func (m *Model) Decoder(d torch.DType) *Decoder {
	head := bert.Head{Words: m.Output.Weight, Bias: m.Output.Bias}
	return &Decoder{Text: m.BERT.Decoder(head, d), norm: nn.NewPackedNorm(&m.Norm),
		project: nn.NewPacked(m.Project.Weight, m.Project.Bias, torch.NoActivation, d)}
}

// Start begins texts of at most maxLen tokens behind the tokens of images, [G, P, M] as the vision tower gives them.
// The keys and values of an image's tokens are computed once, for all of its rows. width is how many rows an image
// will have.
func (d *Decoder) Start(features *torch.Tensor, images, width, maxLen int) (*bert.Session, error) {
	var s *bert.Session
	var err error
	torch.NoGrad(func() {
		torch.Scoped(func() {
			prefix := d.norm.Forward(d.project.ForwardFloat32(features, nil, nil), torch.Float32) // [G, P, C]
			s, err = d.Text.StartAfter(prefix, images, width, maxLen)
		})
	})
	return s, err
}

// Holds is the bytes that a session keeps of an image with so many positions.
func (d *Decoder) Holds(positions int64) int64 { return d.Text.Holds(positions) }

// Free releases the tensors.
func (d *Decoder) Free() {
	d.Text.Free()
	d.project.Free()
	d.norm.Free()
}
