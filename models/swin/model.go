// Package swin is the Swin Transformer (Liu et al. 2021): stages of blocks over a map that each stage but the last
// makes half as large and twice as wide. The positions of a window look at each other; every second block shifts the
// windows. How far apart two positions are is learned by each head. Keys are those of Hugging Face's SwinModel
// (transformers v4.57.1, models/swin/modeling_swin.py).
//
// A [Model] is the weights as they are stored. An [Encoder] is the network prepared for inference.
//
// It does not do: training, drop path, masked images, absolute positions (which that SwinModel does not run either).
//
// Letters in shapes: B images, H and W rows and columns of a map, N their product, C width, S² positions of a window.
package swin

import (
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
)

// Model is the weights.
type Model struct {
	Config    Config
	Patches   nn.Conv2d    `key:"embeddings.patch_embeddings.projection"`
	PatchNorm nn.LayerNorm `key:"embeddings.norm"`
	Stages    []Stage      `key:"encoder.layers"`
	Norm      nn.LayerNorm `key:"layernorm"`
}

// Stage is blocks on maps of one size, and what makes the map smaller behind them.
type Stage struct {
	Blocks []Block `key:"blocks"`
	Merge  *Merge  `key:"downsample"` // nil in the last stage
}

// Block attends in windows, then has two layers on each position by itself, each with a norm before it and its input
// added after it.
type Block struct {
	AttnNorm nn.LayerNorm  `key:"layernorm_before"`
	Query    nn.Linear     `key:"attention.self.query"`
	Key      nn.Linear     `key:"attention.self.key"`
	Value    nn.Linear     `key:"attention.self.value"`
	Apart    *torch.Tensor `key:"attention.self.relative_position_bias_table"` // [(2S-1)², heads]
	Out      nn.Linear     `key:"attention.output.dense"`
	MLPNorm  nn.LayerNorm  `key:"layernorm_after"`
	Up       nn.Linear     `key:"intermediate.dense"`
	Down     nn.Linear     `key:"output.dense"`
}

// Merge makes one position of each square of four.
type Merge struct {
	Norm   nn.LayerNorm `key:"norm"`      // [4C]
	Reduce nn.Linear    `key:"reduction"` // [2C, 4C]
}

// fixedEpsilon is that of the norms which layer_norm_eps does not say: of patches, and of merging.
const fixedEpsilon = 1e-5

// New makes a model with unset weights; Load fills them. Run it inside torch.Do; Free releases it.
func New(c Config) (*Model, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	m := &Model{
		Config:    c,
		Patches:   nn.NewConv2d(3, c.Width, c.PatchSize, c.PatchSize, 0, 1, true),
		PatchNorm: nn.NewLayerNorm(c.Width, fixedEpsilon),
		Stages:    make([]Stage, len(c.Depths)),
		Norm:      nn.NewLayerNorm(c.width(len(c.Depths)-1), c.Epsilon),
	}
	for i := range m.Stages {
		s, width := &m.Stages[i], c.width(i)
		s.Blocks = make([]Block, c.Depths[i])
		for j := range s.Blocks {
			s.Blocks[j] = newBlock(c, i)
		}
		if i < len(m.Stages)-1 {
			s.Merge = &Merge{Norm: nn.NewLayerNorm(4*width, fixedEpsilon), Reduce: nn.NewLinear(4*width, 2*width, false)}
		}
	}
	return m, nil
}

func newBlock(c Config, stage int) Block {
	width, inner, apart := c.width(stage), c.inner(stage), 2*c.Window-1
	norm := func() nn.LayerNorm { return nn.NewLayerNorm(width, c.Epsilon) }
	look := func() nn.Linear { return nn.NewLinear(width, width, c.QKVBias) }
	return Block{
		AttnNorm: norm(), Query: look(), Key: look(), Value: look(), Apart: nn.NewParam(apart*apart, c.Heads[stage]),
		Out: nn.NewLinear(width, width, true), MLPNorm: norm(),
		Up: nn.NewLinear(width, inner, true), Down: nn.NewLinear(inner, width, true),
	}
}

// Load fills the model from a checkpoint in the keys of Keys, of any floating-point type.
func (m *Model) Load(src weights.Source, o nn.LoadOptions) error { return nn.Load(m, src, o) }

// Free releases the weights.
func (m *Model) Free() { nn.Free(m) }
