// Package davit is the Dual Attention Vision Transformer (Ding et al. 2022), the vision encoder of Florence-2: stages
// of blocks over a map that each stage makes smaller and wider. A block attends twice: the positions of a window look
// at each other (spatial), then the channels of a group do, over all positions (channel). Depthwise convolutions say
// where a position is. Keys are those of Hugging Face's Florence2VisionBackbone (transformers v4.57.1,
// models/florence2/modeling_florence2.py), which [Keys] finds in a checkpoint of Florence-2's authors as well.
//
// A [Model] is the network as it is stored. An [Encoder] is the same prepared for inference.
//
// It does not do: training, drop path.
//
// Letters in shapes: B images, H and W rows and columns of a map, N their product, C width.
package davit

import (
	"fmt"
	"math"

	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
)

// Model is the network.
type Model struct {
	Config Config
	Embeds []Embed   `key:"convs"`
	Blocks [][]Block `key:"blocks"` // a list a stage

	// Trace, if not nil, is told every map; tests look at them.
	Trace func(name string, t *torch.Tensor)
}

// Embed begins a stage: a convolution that makes the map smaller and wider, with a norm before or behind it.
type Embed struct {
	Conv nn.Conv2d    `key:"conv"`
	Norm nn.LayerNorm `key:"norm"`

	preNorm bool
}

// Block attends in windows, then over channels.
type Block struct {
	Spatial Spatial `key:"spatial_block"`
	Channel Channel `key:"channel_block"`
}

// Spatial is the half of a block whose positions look at each other, within a window.
type Spatial struct {
	Half      `key:""`
	Attention Attention `key:"window_attn"`
}

// Channel is the half of a block whose channels look at each other, within a group.
type Channel struct {
	Half      `key:""`
	Attention Attention `key:"channel_attn"`
}

// Half is what both halves of a block have: a convolution on each channel by itself, added to its input, before the
// attention and before the layers on each position.
type Half struct {
	Conv1 nn.Conv2d    `key:"conv1"`
	Norm1 nn.LayerNorm `key:"norm1"` // before the attention
	Conv2 nn.Conv2d    `key:"conv2"`
	Norm2 nn.LayerNorm `key:"norm2"` // before the layers
	Up    nn.Linear    `key:"ffn.fc1"`
	Down  nn.Linear    `key:"ffn.fc2"`
}

// Attention is its two products.
type Attention struct {
	QKV nn.Linear `key:"qkv"` // [3C, C]: queries, keys, values
	Out nn.Linear `key:"proj"`
}

// epsilon of every norm.
const epsilon = 1e-5

// New makes a model with unset weights; Load fills them. Run it inside torch.Do; Free releases it.
func New(c Config) (*Model, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	m := &Model{Config: c, Embeds: make([]Embed, len(c.Widths)), Blocks: make([][]Block, len(c.Widths))}
	in := int64(3)
	for i, width := range c.Widths {
		normed := width
		if c.PreNorms[i] {
			normed = in
		}
		m.Embeds[i] = Embed{
			Conv: nn.NewConv2d(in, width, c.Kernels[i], c.Strides[i], c.Paddings[i], 1, true),
			Norm: nn.NewLayerNorm(normed, epsilon), preNorm: c.PreNorms[i],
		}
		m.Blocks[i] = make([]Block, c.Depths[i])
		for j := range m.Blocks[i] {
			b := &m.Blocks[i][j]
			b.Spatial.Half, b.Channel.Half = newHalf(width, c.inner(i)), newHalf(width, c.inner(i))
			for _, a := range []*Attention{&b.Spatial.Attention, &b.Channel.Attention} {
				a.QKV, a.Out = nn.NewLinear(width, 3*width, c.QKVBias), nn.NewLinear(width, width, true)
			}
		}
		in = width
	}
	return m, nil
}

func newHalf(width, inner int64) Half {
	depthwise := func() nn.Conv2d { return nn.NewConv2d(width, width, 3, 1, 1, width, true) }
	return Half{
		Conv1: depthwise(), Norm1: nn.NewLayerNorm(width, epsilon),
		Conv2: depthwise(), Norm2: nn.NewLayerNorm(width, epsilon),
		Up: nn.NewLinear(width, inner, true), Down: nn.NewLinear(inner, width, true),
	}
}

// Load fills the model from a checkpoint in the keys of Keys, of any floating-point type.
func (m *Model) Load(src weights.Source, o nn.LoadOptions) error { return nn.Load(m, src, o) }

// Free releases the weights.
func (m *Model) Free() { nn.Free(m) }

// Map gives the last map of normalized images x [B, 3, h, w]: [B, H, W, C].
func (m *Model) Map(x *torch.Tensor) *torch.Tensor {
	x = x.Permute(0, 2, 3, 1) // [B, 3, h, w] -> [B, h, w, 3]
	for i := range m.Embeds {
		x = m.Embeds[i].forward(x)
		m.see(fmt.Sprintf("convs.%d", i), x)
		for j := range m.Blocks[i] {
			b, name := &m.Blocks[i][j], fmt.Sprintf("blocks.%d.%d", i, j)
			s := &b.Spatial
			x = s.forward(x, func(x *torch.Tensor) *torch.Tensor {
				return s.Attention.windows(x, m.Config.Heads[i], m.Config.Window)
			})
			m.see(name+".spatial_block", x)
			c := &b.Channel
			x = c.forward(x, func(x *torch.Tensor) *torch.Tensor { return c.Attention.channels(x, m.Config.Groups[i]) })
			m.see(name, x)
		}
	}
	return x
}

// forward makes a map [B, H, W, C] smaller and wider.
func (e *Embed) forward(x *torch.Tensor) *torch.Tensor {
	if e.preNorm {
		x = e.Norm.Forward(x)
	}
	x = convolve(&e.Conv, x)
	if !e.preNorm {
		x = e.Norm.Forward(x)
	}
	return x
}

// convolve is a convolution on a map whose channels are innermost, [B, H, W, C].
func convolve(c *nn.Conv2d, x *torch.Tensor) *torch.Tensor {
	return c.Forward(x.Permute(0, 3, 1, 2)).Permute(0, 2, 3, 1)
}

// forward maps [B, H, W, C] to the same shape, by an attention over such a map.
func (h *Half) forward(x *torch.Tensor, attend func(*torch.Tensor) *torch.Tensor) *torch.Tensor {
	x = x.Add(convolve(&h.Conv1, x))
	x = x.Add(attend(h.Norm1.Forward(x)))
	x = x.Add(convolve(&h.Conv2, x))
	return x.Add(h.Down.Forward(nn.GELU.Forward(h.Up.Forward(h.Norm2.Forward(x)))))
}

// windows lets the positions of each window look at each other: [B, H, W, C] to the same shape. At the right and at the
// bottom a map is padded to whole windows.
func (a *Attention) windows(x *torch.Tensor, heads, side int64) *torch.Tensor {
	w := nn.WindowsOf(x, side, 0)
	y := nn.SelfAttention(a.QKV.Forward(w.Cut(x)), heads, nil) // [B·windows, side², C]
	return w.Join(a.Out.Forward(y))
}

// channels lets the channels of each group look at each other: [B, H, W, C] to the same shape.
func (a *Attention) channels(x *torch.Tensor, groups int64) *torch.Tensor {
	tokens := x.Flatten(1, 2) // [B, N, C]
	return a.Out.Forward(overChannels(a.QKV.Forward(tokens), groups)).View(x.Shape()...)
}

// overChannels is attention whose positions are channels: qkv [B, N, 3C] to [B, N, C]. Scores are scaled by 1/√N.
func overChannels(qkv *torch.Tensor, groups int64) *torch.Tensor {
	b, n, c := qkv.Dim(0), qkv.Dim(1), qkv.Dim(2)/3
	x := qkv.View(b, n, 3, groups, c/groups).Permute(2, 0, 3, 1, 4) // [3, B, G, N, D]
	q, k, v := x.Select(0, 0), x.Select(0, 1), x.Select(0, 2)
	w := q.Transpose(-1, -2).Matmul(k).MulScalar(1 / math.Sqrt(float64(n))).Softmax(-1) // [B, G, D, D]
	return v.Matmul(w.Transpose(-1, -2)).Transpose(1, 2).Reshape(b, n, c)               // [B, G, N, D] -> [B, N, C]
}

func (m *Model) see(name string, t *torch.Tensor) {
	if m.Trace != nil {
		m.Trace(name, t)
	}
}
