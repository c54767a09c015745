package clip

import (
	"fmt"

	"captioner/torch"
	"captioner/torch/nn"
)

// VisionTransformer cuts an image into patches and lets them look at each other (Dosovitskiy et al. 2021), with a norm
// before the blocks.
type VisionTransformer struct {
	Patches     nn.Conv2d     `key:"conv1"`                // stride = kernel = patch
	Class       *torch.Tensor `key:"class_embedding"`      // [C]: the token that becomes the image's features
	Positions   *torch.Tensor `key:"positional_embedding"` // [T, C]
	Pre         nn.LayerNorm  `key:"ln_pre"`
	Transformer Transformer   `key:"transformer"`
	Post        *nn.LayerNorm `key:"ln_post"` // nil in a bare tower
	Proj        *torch.Tensor `key:"proj"`    // [C, E], or nil
}

// Transformer is a stack of blocks.
type Transformer struct {
	Blocks []Block `key:"resblocks"`
	heads  int64
	act    nn.Activation
}

// Block is attention, then two layers on each token by itself, each with a norm before it and its input added after it.
type Block struct {
	AttnNorm nn.LayerNorm `key:"ln_1"`
	Attn     Attention    `key:"attn"`
	MLPNorm  nn.LayerNorm `key:"ln_2"`
	MLP      MLP          `key:"mlp"`
}

// Attention is PyTorch's MultiheadAttention over the tokens themselves.
type Attention struct {
	QKVWeight *torch.Tensor `key:"in_proj_weight"` // [3C, C]: queries, keys, values
	QKVBias   *torch.Tensor `key:"in_proj_bias"`   // [3C]
	Out       nn.Linear     `key:"out_proj"`
}

// MLP widens, activates and narrows each token by itself.
type MLP struct {
	Up   nn.Linear `key:"c_fc"`
	Down nn.Linear `key:"c_proj"`
}

func newViT(c Config) *VisionTransformer {
	v := c.Vision
	tokens, _, _ := c.Tokens(Raw)
	m := &VisionTransformer{
		Patches: nn.NewConv2d(
			3,
			v.Width,
			v.PatchSize,
			v.PatchSize,
			0,
			1,
			false,
		), Class: nn.NewParam(v.Width), Positions: nn.NewParam(tokens, v.Width),
		Pre: nn.NewLayerNorm(
			v.Width,
			normEpsilon,
		), Transformer: NewTransformer(v.Layers, v.Width, v.MLP, v.Heads, activation(c)),
	}
	if !v.Bare {
		post := nn.NewLayerNorm(v.Width, normEpsilon)
		m.Post = &post
	}
	if c.EmbedDim > 0 {
		m.Proj = nn.NewParam(v.Width, c.EmbedDim)
	}
	return m
}

func activation(c Config) nn.Activation {
	if c.QuickGELU {
		return nn.QuickGELU
	}
	return nn.GELU
}

// NewTransformer makes a stack with unset weights.
func NewTransformer(layers int, width, mlp, heads int64, act nn.Activation) Transformer {
	t := Transformer{Blocks: make([]Block, layers), heads: heads, act: act}
	for i := range t.Blocks {
		t.Blocks[i] = Block{
			AttnNorm: nn.NewLayerNorm(width, normEpsilon),
			Attn:     Attention{nn.NewParam(3*width, width), nn.NewParam(3 * width), nn.NewLinear(width, width, true)},
			MLPNorm:  nn.NewLayerNorm(width, normEpsilon),
			MLP:      MLP{nn.NewLinear(width, mlp, true), nn.NewLinear(mlp, width, true)},
		}
	}
	return t
}

// features gives the tokens of images x [B, 3, h, w] behind the last block, the class first: [B, T, C].
func (m *VisionTransformer) features(x *torch.Tensor, see see) *torch.Tensor {
	x = m.Patches.Forward(x) // [B, C, h/p, w/p]
	see("visual.conv1", x)
	x = rows(x) // [B, T-1, C]
	class := m.Class.View(1, 1, -1).Expand(x.Dim(0), 1, -1)
	x = m.Pre.Forward(torch.Cat(1, class, x).Add(m.Positions)) // [B, T, C]
	see("visual.ln_pre", x)
	return m.Transformer.forward(x, nil, "visual.transformer", see)
}

// project maps [..., C] into the common space [..., E], where there is one.
func (m *VisionTransformer) project(x *torch.Tensor) *torch.Tensor {
	if m.Proj == nil {
		return x
	}
	return x.Matmul(m.Proj)
}

// forward maps [B, T, C] to the same shape. mask [T, T] is added to the attention's logits, or nil.
func (t *Transformer) forward(x, mask *torch.Tensor, name string, see see) *torch.Tensor {
	for i := range t.Blocks {
		x = torch.Tidy1(func() *torch.Tensor { return t.Blocks[i].forward(x, mask, t.heads, t.act) })
		see(fmt.Sprintf("%s.resblocks.%d", name, i), x)
	}
	return x
}

func (b *Block) forward(x, mask *torch.Tensor, heads int64, act nn.Activation) *torch.Tensor {
	x = x.Add(b.Attn.forward(b.AttnNorm.Forward(x), mask, heads))
	return x.Add(b.MLP.Down.Forward(act.Forward(b.MLP.Up.Forward(b.MLPNorm.Forward(x)))))
}

func (a *Attention) forward(x, mask *torch.Tensor, heads int64) *torch.Tensor {
	return a.Out.Forward(nn.SelfAttention(torch.Linear(x, a.QKVWeight, a.QKVBias), heads, mask))
}
