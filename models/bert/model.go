// Package bert is the transformer of BERT (Devlin et al. 2019) as captioners have it, a decoder that writes text:
// BLIP's, with cross-attention to an image's tokens (package blip), and GIT's, whose texts follow the image's tokens
// (package git). A norm stands behind each addition. Keys are those of Hugging Face's BertModel (transformers
// v4.57.1, models/bert/modeling_bert.py).
//
// A [Model] is the network as it is stored; its gradients flow. A [Decoder] is the same prepared for generation, with
// a cache of keys and values in each [Session].
//
// It does not do: token types, relative positions, a pooler.
//
// Letters in shapes: B rows (texts), T positions of a text, G images, P positions of a memory or of a prefix, M width
// of the memory, C width, H heads, D head size, V vocabulary.
package bert

import (
	"captioner/torch"
	"captioner/torch/nn"
)

// Model is the embeddings and the layers, without an output layer.
type Model struct {
	Config     Config
	Embeddings Embeddings `key:"embeddings"`
	Layers     []Layer    `key:"encoder.layer"`

	// Trace, if not nil, is told every intermediate of Forward; tests look at them.
	Trace func(name string, t *torch.Tensor)
}

// Embeddings are the sum of a token's row and its position's, normalized.
type Embeddings struct {
	Words     nn.Embedding `key:"word_embeddings"`     // [V, C]
	Positions nn.Embedding `key:"position_embeddings"` // [positions, C]
	Norm      nn.LayerNorm `key:"LayerNorm"`
}

// Layer is self-attention, then cross-attention where there is a memory, then two layers on each token by itself.
type Layer struct {
	Self  Attention    `key:"attention"`
	Cross *Attention   `key:"crossattention"` // nil without a memory
	Up    nn.Linear    `key:"intermediate.dense"`
	Down  nn.Linear    `key:"output.dense"`
	Norm  nn.LayerNorm `key:"output.LayerNorm"`
}

// Attention is one of BERT's, its output layer and the norm behind it among it.
type Attention struct {
	Query nn.Linear    `key:"self.query"`
	Key   nn.Linear    `key:"self.key"`   // from the width of what is looked at
	Value nn.Linear    `key:"self.value"` // likewise
	Out   nn.Linear    `key:"output.dense"`
	Norm  nn.LayerNorm `key:"output.LayerNorm"`
}

// New makes a model with unset weights; nn.Load fills them. Run it inside torch.Do; nn.Free releases it.
func New(c Config) (*Model, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	norm := func() nn.LayerNorm { return nn.NewLayerNorm(c.Width, c.Epsilon) }
	attention := func(width int64) Attention {
		return Attention{
			Query: nn.NewLinear(c.Width, c.Width, true), Key: nn.NewLinear(width, c.Width, true),
			Value: nn.NewLinear(width, c.Width, true), Out: nn.NewLinear(c.Width, c.Width, true), Norm: norm(),
		}
	}
	m := &Model{Config: c, Layers: make([]Layer, c.Layers), Embeddings: Embeddings{
		Words: nn.NewEmbedding(c.VocabSize, c.Width), Positions: nn.NewEmbedding(c.Positions, c.Width), Norm: norm()}}
	for i := range m.Layers {
		m.Layers[i] = Layer{Self: attention(c.Width), Up: nn.NewLinear(c.Width, c.Inner, true),
			Down: nn.NewLinear(c.Inner, c.Width, true), Norm: norm()}
		if c.Memory > 0 {
			cross := attention(c.Memory)
			m.Layers[i].Cross = &cross
		}
	}
	return m, nil
}

// Embed gives tokens [B, T] (int64) at the positions from 0 on: [B, T, C].
func (m *Model) Embed(tokens *torch.Tensor) *torch.Tensor {
	e := &m.Embeddings
	positions := e.Positions.Weight.Narrow(0, 0, tokens.Dim(1)) // [T, C]
	x := e.Norm.Forward(e.Words.Forward(tokens).Add(positions))
	m.see("embeddings", x)
	return x
}

func (m *Model) see(name string, t *torch.Tensor) {
	if m.Trace != nil {
		m.Trace(name, t)
	}
}
