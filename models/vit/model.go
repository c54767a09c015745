// Package vit is the Vision Transformer (Dosovitskiy et al. 2021): patches and a class token that look at each other,
// with a norm before each part and one behind the last. It is the vision encoder of BLIP (package blip says how that is
// read) and of Hugging Face's ViTModel. Keys are those of timm (blocks.0.attn.qkv.weight, …; timm 0.4.12,
// vision_transformer.py), which [Keys] finds in a checkpoint of Hugging Face; [ConfigOf] reads the sizes from the
// weights.
//
// A [Model] is the network as it is stored; its gradients flow. An [Encoder] is the same prepared for inference.
//
// It does not do: images of other sizes than ImageSize (no position is interpolated), a pooler or a classifier behind
// the tokens, dropout. Pixels are another room's work.
//
// Letters in shapes: B images, T tokens, C width.
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

// Model is the network.
type Model struct {
	Config    Config
	Patches   nn.Conv2d     `key:"patch_embed.proj"` // stride = kernel = patch
	Class     *torch.Tensor `key:"cls_token"`        // [1, 1, C]: the token that becomes the image's features
	Positions *torch.Tensor `key:"pos_embed"`        // [1, T, C]
	Blocks    []Block       `key:"blocks"`
	Norm      nn.LayerNorm  `key:"norm"`

	trace func(name string, t *torch.Tensor) // tests look at every map through it
}

// Block is attention, then two layers on each token by itself, each with a norm before it and its input added after it.
type Block struct {
	AttnNorm nn.LayerNorm `key:"norm1"`
	QKV      nn.Linear    `key:"attn.qkv"` // [3C, C]: queries, keys, values
	Out      nn.Linear    `key:"attn.proj"`
	MLPNorm  nn.LayerNorm `key:"norm2"`
	Up       nn.Linear    `key:"mlp.fc1"`
	Down     nn.Linear    `key:"mlp.fc2"`
}

// New makes a model with unset weights; Load fills them. Run it inside torch.Do; Free releases it.
func New(c Config) (*Model, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	tokens, width := c.Tokens()
	norm := func() nn.LayerNorm { return nn.NewLayerNorm(width, c.epsilon()) }
	m := &Model{
		Config:    c,
		Patches:   nn.NewConv2d(3, width, c.PatchSize, c.PatchSize, 0, 1, true),
		Class:     nn.NewParam(1, 1, width),
		Positions: nn.NewParam(1, tokens, width),
		Blocks:    make([]Block, c.Layers),
		Norm:      norm(),
	}
	for i := range m.Blocks {
		m.Blocks[i] = Block{AttnNorm: norm(), QKV: nn.NewLinear(width, 3*width, true),
			Out: nn.NewLinear(width, width, true), MLPNorm: norm(),
			Up: nn.NewLinear(width, c.MLP, true), Down: nn.NewLinear(c.MLP, width, true)}
	}
	return m, nil
}

// Load fills the model from a checkpoint in timm's keys (see Keys), of any floating-point type.
func (m *Model) Load(src weights.Source, o nn.LoadOptions) error { return nn.Load(m, src, o) }

// Free releases the weights.
func (m *Model) Free() { nn.Free(m) }

// EncodeImage gives the features of normalized images x [B, 3, ImageSize, ImageSize]: the class token behind the last
// norm, [B, C], not of unit length. LAVIS calls it image_embeds[:, 0].
func (m *Model) EncodeImage(x *torch.Tensor) *torch.Tensor {
	return m.Norm.Forward(m.features(x).Select(1, 0))
}

// Tokens gives all tokens of normalized images x [B, 3, ImageSize, ImageSize] behind the last norm: [B, T, C];
// LAVIS's image_embeds, Hugging Face's last_hidden_state.
func (m *Model) Tokens(x *torch.Tensor) *torch.Tensor { return m.Norm.Forward(m.features(x)) }

// features gives the tokens behind the last block, the class first: [B, T, C].
func (m *Model) features(x *torch.Tensor) *torch.Tensor {
	nn.CheckImages("vit", x, m.Config.ImageSize)
	x = m.Patches.Forward(x) // [B, C, h/p, w/p]
	m.see("patch_embed.proj", x)
	x = x.Flatten(2, 3).Transpose(1, 2) // [B, T-1, C]
	x = torch.Cat(1, m.Class.Expand(x.Dim(0), 1, -1), x).Add(m.Positions)
	for i := range m.Blocks {
		x = torch.Tidy1(func() *torch.Tensor { return m.Blocks[i].forward(x, m.Config.Heads) })
		m.see(fmt.Sprintf("blocks.%d", i), x)
	}
	return x
}

// forward maps [B, T, C] to the same shape.
func (b *Block) forward(x *torch.Tensor, heads int64) *torch.Tensor {
	x = x.Add(b.Out.Forward(nn.SelfAttention(b.QKV.Forward(b.AttnNorm.Forward(x)), heads, nil)))
	return x.Add(b.Down.Forward(nn.GELU.Forward(b.Up.Forward(b.MLPNorm.Forward(x)))))
}

func (m *Model) see(name string, t *torch.Tensor) {
	if m.trace != nil {
		m.trace(name, t)
	}
}
