package clip

import (
	"captioner/torch"
	"captioner/torch/nn"
)

// Encoder is the image tower prepared for inference. It holds its own tensors: Free releases them, and the Model that
// it was made from may go first.
type Encoder struct {
	Config Config
	device torch.Device
	tower  tower

	trace func(name string, t *torch.Tensor) // tests look at every map through it
}

// tower is one of the two kinds of image towers.
type tower interface {
	pooled(x *torch.Tensor, see see) *torch.Tensor         // [B, 3, h, w] -> [B, Pooled] in float32
	tokens(x *torch.Tensor, f Form, see see) *torch.Tensor // [B, 3, h, w] -> [B, tokens, width] in float32
	chunk() int64                                          // how many images go through at once on the CPU
	free()
}

// Encoder prepares m's image tower in type d, on the device of its weights: float32, bfloat16 or int8. Below float32 a
// ViT keeps norms, softmax, the residual stream and the last projection in float32; of a ResNet only the pool's result
// is float32.
func (m *Model) Encoder(d torch.DType) *Encoder {
	e := &Encoder{Config: m.Config.WithoutText()}
	torch.NoGrad(func() {
		torch.Scoped(func() {
			if m.ResNet != nil {
				e.device, e.tower = m.ResNet.Conv1.Weight.Device(), newResNetTower(m.ResNet, d)
			} else {
				e.device, e.tower = m.ViT.Class.Device(), newViTTower(m.ViT, m.Config.Vision, d)
			}
		})
	})
	return e
}

// EncodeImage gives the features of normalized images x [B, 3, ImageSize, ImageSize]: [B, Pooled] in float32, not of
// unit length. An image's features do not depend on the others of its batch.
func (e *Encoder) EncodeImage(x *torch.Tensor) *torch.Tensor {
	nn.CheckImages("clip", x, e.Config.Vision.ImageSize)
	return nn.Chunks(
		x,
		e.tower.chunk(),
		e.device,
		func(x *torch.Tensor) *torch.Tensor { return e.tower.pooled(x, e.see) },
	)
}

// Tokens gives the tokens of normalized images before they are pooled, as Model.Tokens does, in float32.
func (e *Encoder) Tokens(x *torch.Tensor, f Form) (*torch.Tensor, error) {
	if _, _, err := e.Config.Tokens(f); err != nil {
		return nil, err
	}
	nn.CheckImages("clip", x, e.Config.Vision.ImageSize)
	return nn.Chunks(
		x,
		e.tower.chunk(),
		e.device,
		func(x *torch.Tensor) *torch.Tensor { return e.tower.tokens(x, f, e.see) },
	), nil
}

// Free releases the tensors.
func (e *Encoder) Free() { e.tower.free() }

func (e *Encoder) see(name string, t *torch.Tensor) {
	if e.trace != nil {
		e.trace(name, t.To(torch.Float32))
	}
}
