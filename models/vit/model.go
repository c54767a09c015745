// Package vit is the Vision Transformer (Dosovitskiy et al. 2021): patches and a class token that look at each other,
// with a norm before each part and one behind the last. It is the vision encoder of BLIP, SigLIP and DINOv2 (packages
// blip, siglip and dinov2 say how those are read), and of Hugging Face's ViTModel and DeiTModel. Keys are those of timm
// (blocks.0.attn.qkv.weight, …; timm 0.4.12, vision_transformer.py), which [Keys] finds in a checkpoint of Hugging
// Face; [ConfigOf] reads the sizes from the weights.
//
// A [Model] is the network as it is stored; its gradients flow. An [Encoder] is the same prepared for inference.
//
// It does not do: a pooler or a classifier behind the tokens, dropout. Pixels are another room's work.
//
// Letters in shapes: B images, T tokens, L tokens before those of the patches, P patches, C width.
package vit

import (
	"fmt"

	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
)

// What is done to images before a ViTModel, where its processor says no other: both sides are scaled to ImageSize,
// whatever their ratio was (bilinear, nothing is cut off), and then x = (pixel - Mean)/Std for pixels of 0 to 255.
var (
	Mean = [3]float64{127.5, 127.5, 127.5}
	Std  = [3]float64{127.5, 127.5, 127.5}
)

// Model is the network. Tokens and factors that it does not have are nil.
type Model struct {
	Config       Config
	Patches      nn.Conv2d     `key:"patch_embed.proj"` // stride = kernel = patch
	Class        *torch.Tensor `key:"cls_token"`        // [1, 1, C]: the token that becomes the image's features
	Distillation *torch.Tensor `key:"dist_token"`       // [1, 1, C]
	Registers    *torch.Tensor `key:"register_tokens"`  // [1, R, C]
	Positions    *torch.Tensor `key:"pos_embed"`        // [1, T - R, C]: of all tokens but the registers
	Blocks       []Block       `key:"blocks"`
	Norm         nn.LayerNorm  `key:"norm"`

	trace func(name string, t *torch.Tensor) // tests look at every map through it
}

// Block is attention, then two layers on each token by itself, each with a norm before it and its input added after it.
type Block struct {
	AttnNorm  nn.LayerNorm  `key:"norm1"`
	QKV       nn.Linear     `key:"attn.qkv"` // [3C, C]: queries, keys, values
	Out       nn.Linear     `key:"attn.proj"`
	AttnScale *torch.Tensor `key:"ls1.gamma"` // [C], or nil
	MLPNorm   nn.LayerNorm  `key:"norm2"`
	Up        nn.Linear     `key:"mlp.fc1"` // of a gated MLP [2M, C]: the gate, then what goes through it
	Down      nn.Linear     `key:"mlp.fc2"`
	MLPScale  *torch.Tensor `key:"ls2.gamma"` // [C], or nil
}

// New makes a model with unset weights; Load fills them. Run it inside torch.Do; Free releases it.
func New(c Config) (*Model, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	norm := func() nn.LayerNorm { return nn.NewLayerNorm(c.Width, c.epsilon()) }
	m := &Model{
		Config:    c,
		Patches:   nn.NewConv2d(3, c.Width, c.PatchSize, c.PatchSize, 0, 1, true),
		Positions: nn.NewParam(1, c.placed()+c.grid()*c.grid(), c.Width),
		Blocks:    make([]Block, c.Layers),
		Norm:      norm(),
	}
	if !c.NoClass {
		m.Class = nn.NewParam(1, 1, c.Width)
	}
	if c.Distilled {
		m.Distillation = nn.NewParam(1, 1, c.Width)
	}
	if c.Registers > 0 {
		m.Registers = nn.NewParam(1, c.Registers, c.Width)
	}
	for i := range m.Blocks {
		b := Block{AttnNorm: norm(), QKV: nn.NewLinear(c.Width, 3*c.Width, true),
			Out: nn.NewLinear(c.Width, c.Width, true), MLPNorm: norm(),
			Up: nn.NewLinear(c.Width, c.up(), true), Down: nn.NewLinear(c.MLP, c.Width, true)}
		if c.LayerScale {
			b.AttnScale, b.MLPScale = nn.NewParam(c.Width), nn.NewParam(c.Width)
		}
		m.Blocks[i] = b
	}
	return m, nil
}

// Load fills the model from a checkpoint in timm's keys (see Keys), of any floating-point type.
func (m *Model) Load(src weights.Source, o nn.LoadOptions) error { return nn.Load(m, src, o) }

// Free releases the weights.
func (m *Model) Free() { nn.Free(m) }

// EncodeImage gives the features of normalized images x [B, 3, side, side]: the class token behind the last norm, [B,
// C], not of unit length. LAVIS calls it image_embeds[:, 0].
func (m *Model) EncodeImage(x *torch.Tensor) *torch.Tensor {
	return m.Norm.Forward(m.features(x).Select(1, 0))
}

// Tokens gives all tokens of normalized images x [B, 3, side, side] behind the last norm: [B, T, C]; LAVIS's
// image_embeds, Hugging Face's last_hidden_state.
func (m *Model) Tokens(x *torch.Tensor) *torch.Tensor { return m.Norm.Forward(m.features(x)) }

// features gives the tokens behind the last block, the class first: [B, T, C].
func (m *Model) features(x *torch.Tensor) *torch.Tensor { return m.blocks(m.embed(x), 0) }

// embed gives the tokens that enter the first block.
func (m *Model) embed(x *torch.Tensor) *torch.Tensor {
	m.Config.check(x)
	rows := x.Dim(3) / m.Config.PatchSize
	x = m.Patches.Forward(x) // [B, C, h/p, w/p]
	m.see("patch_embed.proj", x)
	x = x.Flatten(2, 3).Transpose(1, 2).Add(m.positions(rows)) // [B, P, C]
	if lead := m.lead(); lead != nil {
		x = torch.Cat(1, lead.Unsqueeze(0).Expand(x.Dim(0), -1, -1), x) // [B, T, C]
	}
	return x
}

// blocks runs tokens [B, T, C] through the blocks from one on.
func (m *Model) blocks(x *torch.Tensor, from int) *torch.Tensor {
	for i := from; i < len(m.Blocks); i++ {
		x = torch.Tidy1(func() *torch.Tensor { return m.Blocks[i].forward(x, m.Config) })
		m.see(fmt.Sprintf("blocks.%d", i), x)
	}
	return x
}

// check ends Do unless x is images that the network takes.
func (c Config) check(x *torch.Tensor) {
	side := c.ImageSize
	if side == 0 && x.Rank() == 4 {
		side = max(x.Dim(3), c.PatchSize)
	}
	nn.CheckImages("vit", x, side)
}

// lead is the tokens before those of the patches, with their positions: [L, C]; nil for none.
func (m *Model) lead() *torch.Tensor {
	var all []*torch.Tensor
	for i, token := range []*torch.Tensor{m.Class, m.Distillation} {
		if token != nil {
			all = append(all, token.View(1, -1).Add(m.Positions.Select(0, 0).Narrow(0, int64(i), 1)))
		}
	}
	if m.Registers != nil {
		all = append(all, m.Registers.Squeeze(0)) // [1, R, C] -> [R, C]
	}
	if len(all) == 0 {
		return nil
	}
	return torch.Cat(0, all...)
}

// positions are those of rows x rows patches, [P, C]: the ones that were learned, or between them.
func (m *Model) positions(rows int64) *torch.Tensor {
	before, grid, width := m.Config.placed(), m.Config.grid(), m.Config.Width
	learned := m.Positions.Select(0, 0).Narrow(0, before, grid*grid) // [G G, C]
	if rows == grid {
		return learned
	}
	square := learned.View(1, grid, grid, width).Permute(0, 3, 1, 2) // [1, C, G, G]
	return square.Bicubic(rows, rows, m.Config.Antialias).Permute(0, 2, 3, 1).Reshape(rows*rows, width)
}

// forward maps [B, T, C] to the same shape.
func (b *Block) forward(x *torch.Tensor, c Config) *torch.Tensor {
	x = x.Add(times(b.Out.Forward(nn.SelfAttention(b.QKV.Forward(b.AttnNorm.Forward(x)), c.Heads, nil)), b.AttnScale))
	y := b.Up.Forward(b.MLPNorm.Forward(x)) // [B, T, M], or [B, T, 2M]
	if c.Gated {
		gate := y.Narrow(-1, 0, c.MLP)
		y = gate.Mul(gate.Sigmoid()).Mul(y.Narrow(-1, c.MLP, c.MLP))
	} else {
		y = c.activation().Forward(y)
	}
	return x.Add(times(b.Down.Forward(y), b.MLPScale))
}

// times is x [..., C] with a factor for each channel; nil is 1.
func times(x, by *torch.Tensor) *torch.Tensor {
	if by == nil {
		return x
	}
	return x.Mul(by)
}

func (m *Model) see(name string, t *torch.Tensor) {
	if m.trace != nil {
		m.trace(name, t)
	}
}
