package bart

import (
	"captioner/models/bert"
	"captioner/torch"
)

// Encoder is the reading side prepared for inference. It holds its own tensors: Free releases them, and the model that
// it was made from may go first.
type Encoder struct {
	layers    *bert.Encoder
	tokens    *torch.Tensor // [V, C] as it is stored
	positions *torch.Tensor // [positions, C] float32
}

// Reader prepares the reading side in type d: float32, or bfloat16 or int8 for the products alone.
func (m *Model) Reader(d torch.DType) *Encoder {
	e := &Encoder{}
	torch.NoGrad(func() {
		torch.Scoped(func() {
			b := m.bert(&m.Encoder, m.Config.encoder())
			e.layers = b.Encoder(d)
			e.tokens = b.Embeddings.Words.Weight.Detach().Keep()
			e.positions = b.Embeddings.Positions.Weight.Detach().To(torch.Float32).Keep()
		})
	})
	return e
}

// Writer prepares the writing side and an output layer in type d.
func (m *Model) Writer(h bert.Head, d torch.DType) (w *bert.Decoder) {
	torch.NoGrad(func() {
		torch.Scoped(func() {
			w = m.bert(&m.Decoder, m.Config.decoder()).Decoder(h, d)
		})
	})
	return w
}

// Read reads, for each image, embeddings x [B, P, C] (float32) and behind them the same tokens: [B, P+len(tokens), C].
func (e *Encoder) Read(x *torch.Tensor, tokens []int32) *torch.Tensor {
	return torch.Tidy1(func() (out *torch.Tensor) {
		torch.NoGrad(func() {
			if len(tokens) > 0 {
				ids := make([]int64, len(tokens))
				for i, t := range tokens {
					ids[i] = int64(t)
				}
				text := torch.Embedding(e.tokens, torch.Upload(ids, x.Device())).To(torch.Float32) // [T, C]
				x = torch.Cat(1, x, text.Unsqueeze(0).Expand(x.Dim(0), -1, -1))                    // [B, P+T, C]
			}
			out = e.layers.Forward(x.Add(e.positions.Narrow(0, 0, x.Dim(1))))
		})
		return out
	})
}

// Free releases the tensors.
func (e *Encoder) Free() {
	e.layers.Free()
	e.tokens.Free()
	e.positions.Free()
}
