package bert

import (
	"captioner/torch"
	"captioner/torch/nn"
)

// Encoder is a model prepared for reading: all positions look at each other, and nothing is written. It holds its own
// tensors; Free releases them, and the model may be freed before.
type Encoder struct {
	norm   nn.PackedNorm // of the embeddings
	layers []layer
	heads  int64
}

// Encoder prepares m's layers without cross-attention in type d; see Decoder.
func (m *Model) Encoder(d torch.DType) *Encoder {
	e := &Encoder{heads: m.Config.Heads, norm: nn.NewPackedNorm(&m.Embeddings.Norm)}
	torch.NoGrad(func() {
		torch.Scoped(func() {
			for i := range m.Layers {
				e.layers = append(e.layers, newLayer(&m.Layers[i], d))
			}
		})
	})
	return e
}

// Forward maps x [B, T, C] (float32), embeddings before their norm, to the same shape.
func (e *Encoder) Forward(x *torch.Tensor) *torch.Tensor {
	x = e.norm.Forward(x, torch.Float32)
	for i := range e.layers {
		l := &e.layers[i]
		x = torch.Tidy1(func() *torch.Tensor { return l.all(l.qkv.Forward(x, nil), x, e.heads) })
	}
	return x
}

// all runs the layer on x [B, T, C], whose positions look at each other by its qkv [B, T, 3C].
func (l *layer) all(qkv, x *torch.Tensor, heads int64) *torch.Tensor {
	x = l.selfNorm.Forward(l.out.ForwardFloat32(nn.HeadAttention(qkv, heads, nil), nil, x), torch.Float32)
	return l.norm.Forward(l.down.ForwardFloat32(l.up.Forward(x, nil), nil, x), torch.Float32)
}

// Free releases the tensors.
func (e *Encoder) Free() {
	e.norm.Free()
	for i := range e.layers {
		e.layers[i].free()
	}
}
