// Package beit is BEiT (Bao et al. 2021), a Vision Transformer whose heads add to their logits a learned number for
// how far apart two patches are: from a table that all layers share, from one of each layer, or both. Layers scale what
// they add by a factor a channel, and keys have no bias. The vision encoder of data2vec (Baevski et al. 2022) is the
// same network. Keys are those of Hugging Face's BeitModel and Data2VecVisionModel (transformers v4.57.1,
// models/beit/modeling_beit.py).
//
// Images may have any size: tables and positions are interpolated as transformers does.
//
// A [Model] is the weights as they are stored. An [Encoder] is the network prepared for inference.
//
// It does not do: training, masked images, a classifier or a segmentation behind the tokens.
//
// Letters in shapes: B images, T tokens, P patches, G rows of patches that tables and positions were learned for,
// C width, H heads.
package beit

import (
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
)

// Model is the weights. What the network does not have is nil.
type Model struct {
	Config    Config
	Class     *torch.Tensor `key:"embeddings.cls_token"`           // [1, 1, C]
	Positions *torch.Tensor `key:"embeddings.position_embeddings"` // [1, 1+G G, C]
	Patches   nn.Conv2d     `key:"embeddings.patch_embeddings.projection"`
	Shared    *torch.Tensor `key:"encoder.relative_position_bias.relative_position_bias_table"` // [(2G-1)²+3, H]
	Blocks    []Block       `key:"encoder.layer"`
	Norm      *nn.LayerNorm `key:"layernorm"`        // nil with mean pooling
	PoolNorm  *nn.LayerNorm `key:"pooler.layernorm"` // of the mean of the patches
}

// Block is attention, then two layers on each token by itself, each with a norm before it and its input added after it.
type Block struct {
	AttnNorm  nn.LayerNorm  `key:"layernorm_before"`
	Query     nn.Linear     `key:"attention.attention.query"`
	Key       nn.Linear     `key:"attention.attention.key"` // without a bias
	Value     nn.Linear     `key:"attention.attention.value"`
	Apart     *torch.Tensor `key:"attention.attention.relative_position_bias.relative_position_bias_table"` // as Shared
	Out       nn.Linear     `key:"attention.output.dense"`
	AttnScale *torch.Tensor `key:"lambda_1"` // [C]
	MLPNorm   nn.LayerNorm  `key:"layernorm_after"`
	Up        nn.Linear     `key:"intermediate.dense"`
	Down      nn.Linear     `key:"output.dense"`
	MLPScale  *torch.Tensor `key:"lambda_2"` // [C]
}

// New makes a model with unset weights; Load fills them. Run it inside torch.Do; Free releases it.
func New(c Config) (*Model, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	norm := func() *nn.LayerNorm {
		n := nn.NewLayerNorm(c.Width, c.Epsilon)
		return &n
	}
	m := &Model{
		Config:  c,
		Class:   nn.NewParam(1, 1, c.Width),
		Patches: nn.NewConv2d(3, c.Width, c.PatchSize, c.PatchSize, 0, 1, true),
		Blocks:  make([]Block, c.Layers),
	}
	if c.Positions {
		m.Positions = nn.NewParam(1, 1+c.Grid*c.Grid, c.Width)
	}
	if c.Shared {
		m.Shared = nn.NewParam(c.distances(), c.Heads)
	}
	if !c.MeanPooling {
		m.Norm = norm()
	}
	if c.PoolNorm {
		m.PoolNorm = norm()
	}
	for i := range m.Blocks {
		m.Blocks[i] = newBlock(c)
	}
	return m, nil
}

func newBlock(c Config) Block {
	look := func(bias bool) nn.Linear { return nn.NewLinear(c.Width, c.Width, bias) }
	b := Block{
		AttnNorm: nn.NewLayerNorm(c.Width, c.Epsilon), Query: look(true), Key: look(false), Value: look(true),
		Out: look(true), MLPNorm: nn.NewLayerNorm(c.Width, c.Epsilon),
		Up: nn.NewLinear(c.Width, c.MLP, true), Down: nn.NewLinear(c.MLP, c.Width, true),
	}
	if c.Apart {
		b.Apart = nn.NewParam(c.distances(), c.Heads)
	}
	if c.LayerScale {
		b.AttnScale, b.MLPScale = nn.NewParam(c.Width), nn.NewParam(c.Width)
	}
	return b
}

// Load fills the model from a checkpoint in the keys of Keys, of any floating-point type.
func (m *Model) Load(src weights.Source, o nn.LoadOptions) error { return nn.Load(m, src, o) }

// Free releases the weights.
func (m *Model) Free() { nn.Free(m) }
