// Package bart is BART (Lewis et al. 2020), a transformer that reads a text and writes another, as Florence-2 has it:
// what it reads may be embeddings of something else. Its layers are BERT's (package bert): a norm stands behind each
// addition. Keys are those of Hugging Face's BartModel (transformers v4.57.1, models/bart/modeling_bart.py).
//
// A [Model] is the network as it is stored. An [Encoder] and a [bert.Decoder] are its two sides prepared for inference.
//
// It does not do: training, padding.
//
// Letters in shapes: B texts, T positions of a text, S positions that are read, C width, V vocabulary.
package bart

import (
	"fmt"
	"math"

	"captioner/models/batch"
	"captioner/models/bert"
	"captioner/torch"
	"captioner/torch/nn"
)

// offset is the row of a table of positions that the first one has.
const offset = 2

// epsilon of every norm.
const epsilon = 1e-5

// Model is both sides.
type Model struct {
	Config  Config
	Tokens  *torch.Tensor `key:"shared.weight"` // [V, C]: of both sides
	Encoder Side          `key:"encoder"`
	Decoder Side          `key:"decoder"`

	// Trace, if not nil, is told the intermediates of Read and Write; tests look at them.
	Trace func(name string, t *torch.Tensor)
}

// Side is the side that reads, or the one that writes.
type Side struct {
	Positions *torch.Tensor `key:"embed_positions.weight"` // [offset + positions, C]
	Norm      nn.LayerNorm  `key:"layernorm_embedding"`
	Layers    []Layer       `key:"layers"`
}

// Layer is self-attention, on the writing side attention to what was read, and two layers on each token by itself.
type Layer struct {
	Self      Attention     `key:"self_attn"`
	SelfNorm  nn.LayerNorm  `key:"self_attn_layer_norm"`
	Cross     *Attention    `key:"encoder_attn"` // nil on the reading side
	CrossNorm *nn.LayerNorm `key:"encoder_attn_layer_norm"`
	Up        nn.Linear     `key:"fc1"`
	Down      nn.Linear     `key:"fc2"`
	Norm      nn.LayerNorm  `key:"final_layer_norm"`
}

// Attention is its four products.
type Attention struct {
	Key   nn.Linear `key:"k_proj"`
	Value nn.Linear `key:"v_proj"`
	Query nn.Linear `key:"q_proj"`
	Out   nn.Linear `key:"out_proj"`
}

// New makes a model with unset weights; nn.Load fills them. Run it inside torch.Do; Free releases it.
func New(c Config) (*Model, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Model{
		Config: c, Tokens: nn.NewParam(c.VocabSize, c.Width), Encoder: newSide(c.encoder()), Decoder: newSide(c.decoder()),
	}, nil
}

func newSide(c bert.Config) Side {
	norm := func() nn.LayerNorm { return nn.NewLayerNorm(c.Width, epsilon) }
	attention := func() Attention {
		square := func() nn.Linear { return nn.NewLinear(c.Width, c.Width, true) }
		return Attention{square(), square(), square(), square()}
	}
	s := Side{Positions: nn.NewParam(offset+c.Positions, c.Width), Norm: norm(), Layers: make([]Layer, c.Layers)}
	for i := range s.Layers {
		s.Layers[i] = Layer{
			Self: attention(), SelfNorm: norm(), Norm: norm(),
			Up: nn.NewLinear(c.Width, c.Inner, true), Down: nn.NewLinear(c.Inner, c.Width, true),
		}
		if c.Memory > 0 {
			cross, norm := attention(), norm()
			s.Layers[i].Cross, s.Layers[i].CrossNorm = &cross, &norm
		}
	}
	return s
}

// Free releases the weights.
func (m *Model) Free() { nn.Free(m) }

// bert is a side as package bert has it. It shares the tensors.
func (m *Model) bert(s *Side, c bert.Config) *bert.Model {
	out := &bert.Model{Config: c, Layers: make([]bert.Layer, len(s.Layers)), Embeddings: bert.Embeddings{
		Words: nn.Embedding{Weight: m.words()}, Positions: nn.Embedding{Weight: s.positions()}, Norm: s.Norm,
	}}
	attention := func(a *Attention, norm nn.LayerNorm) bert.Attention {
		return bert.Attention{Query: a.Query, Key: a.Key, Value: a.Value, Out: a.Out, Norm: norm}
	}
	for i := range s.Layers {
		l := &s.Layers[i]
		out.Layers[i] = bert.Layer{Self: attention(&l.Self, l.SelfNorm), Up: l.Up, Down: l.Down, Norm: l.Norm}
		if l.Cross != nil {
			cross := attention(l.Cross, *l.CrossNorm)
			out.Layers[i].Cross = &cross
		}
	}
	return out
}

// words is the table of tokens as embeddings: [V, C].
func (m *Model) words() *torch.Tensor {
	if m.Config.Scaled {
		return m.Tokens.Detach().To(torch.Float32).MulScalar(math.Sqrt(float64(m.Config.Width)))
	}
	return m.Tokens
}

// positions is the table of positions from the first one on.
func (s *Side) positions() *torch.Tensor {
	return s.Positions.Narrow(0, offset, s.Positions.Dim(0)-offset)
}

// Embed gives the rows of tokens [...] (int64): [..., C], without positions.
func (m *Model) Embed(tokens *torch.Tensor) *torch.Tensor { return torch.Embedding(m.words(), tokens) }

// Read runs the reading side on embeddings x [B, S, C] without positions: [B, S, C].
func (m *Model) Read(x *torch.Tensor) *torch.Tensor {
	b := m.bert(&m.Encoder, m.Config.encoder())
	b.Trace = m.see("encoder")
	x = b.Embeddings.Norm.Forward(x.Add(b.Embeddings.Positions.Weight.Narrow(0, 0, x.Dim(1))))
	return b.Forward(x, nil, nil)
}

// Write runs the writing side on tokens [B, T] (int64): hidden states [B, T, C]. read is what Read gave.
func (m *Model) Write(tokens, read *torch.Tensor) *torch.Tensor {
	b := m.bert(&m.Decoder, m.Config.decoder())
	b.Trace = m.see("decoder")
	return b.Forward(b.Embed(tokens), read, batch.Causal(tokens.Dim(1), tokens.Device()))
}

func (m *Model) see(side string) func(name string, t *torch.Tensor) {
	if m.Trace == nil {
		return nil
	}
	return func(name string, t *torch.Tensor) { m.Trace(fmt.Sprintf("%s.%s", side, name), t) }
}
