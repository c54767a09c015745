// Package clipcap is ClipCap (Mokady et al. 2021): a mapper turns CLIP's embedding of an image into a few embeddings
// of GPT-2, and GPT-2 writes on from them. Keys are those of its own code (github.com/rmokady/CLIP_prefix_caption at
// 1ad805a, train.py and predict.py), which saves state dicts without a configuration: [ConfigOf] reads the sizes from
// the weights.
//
// A [Model] is the network as it is stored; its gradients flow. A [Decoder] is the same prepared for generation.
//
// It does not do: CLIP, which is not in the file (package clip).
//
// Letters in shapes: B images, M channels of CLIP's embedding, P embeddings of the prefix, K embeddings that a
// transformer mapper makes of CLIP's, C width.
package clipcap

import (
	"captioner/models/gpt2"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
)

// Model is mapper and language model.
type Model struct {
	Config Config
	Mapper Mapper      `key:"clip_project"`
	GPT2   *gpt2.Model `key:"gpt"`
}

// Mapper maps CLIP's embedding to the prefix. It has the parts of one of the three mappings; the others are nil.
type Mapper struct {
	Weight *torch.Tensor `key:"weight"` // linear: [P C, M]
	Bias   *torch.Tensor `key:"bias"`   // linear: [P C]

	In  *nn.Linear `key:"model.0"` // MLP: [P C/2, M], then tanh
	Out *nn.Linear `key:"model.2"` // MLP: [P C, P C/2]

	Linear *nn.Linear    `key:"linear"`             // transformer: [K C, M]
	Const  *torch.Tensor `key:"prefix_const"`       // transformer: [P, C]
	Layers []Layer       `key:"transformer.layers"` // transformer
}

// Layer is a layer of a transformer mapper: attention of all embeddings to all, then two layers with ReLU between, a
// norm before each part.
type Layer struct {
	AttnNorm  nn.LayerNorm `key:"norm1"`
	Query     nn.Linear    `key:"attn.to_queries"`     // [C, C], no bias
	KeysValue nn.Linear    `key:"attn.to_keys_values"` // [2C, C], no bias
	Out       nn.Linear    `key:"attn.project"`
	MLPNorm   nn.LayerNorm `key:"norm2"`
	Up        nn.Linear    `key:"mlp.fc1"` // [2C, C]
	Down      nn.Linear    `key:"mlp.fc2"`
}

// New makes a model with unset weights; Load fills them. Run it inside torch.Do; Free releases it.
func New(c Config) (*Model, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	g, err := gpt2.New(c.GPT2)
	if err != nil {
		return nil, err
	}
	m := &Model{Config: c, GPT2: g}
	param := func(shape ...int64) *torch.Tensor { return torch.Empty(torch.Float32, torch.CPU, shape...).Keep() }
	linear := func(in, out int64) *nn.Linear {
		l := nn.NewLinear(in, out, true)
		return &l
	}
	p := &m.Mapper
	width := c.GPT2.Width
	switch out := c.Prefix * width; c.Mapping {
	case Linear:
		p.Weight, p.Bias = param(out, c.Image), param(out)
	case MLP:
		p.In, p.Out = linear(c.Image, c.Inner), linear(c.Inner, out)
	case Transformer:
		p.Linear, p.Const, p.Layers = linear(c.Image, c.Clip*width), param(c.Prefix, width), make([]Layer, c.Layers)
		for i := range p.Layers {
			p.Layers[i] = Layer{AttnNorm: nn.NewLayerNorm(width, normEpsilon), Query: nn.NewLinear(width, width, false),
				KeysValue: nn.NewLinear(width, 2*width, false), Out: nn.NewLinear(width, width, true),
				MLPNorm: nn.NewLayerNorm(width, normEpsilon), Up: nn.NewLinear(width, c.Inner, true),
				Down: nn.NewLinear(c.Inner, width, true)}
		}
	}
	return m, nil
}

const normEpsilon = 1e-5

// Load fills the model from a checkpoint in the keys of Keys.
func (m *Model) Load(src weights.Source, o nn.LoadOptions) error { return nn.Load(m, src, o) }

// Prefix maps embeddings of images [B, M], as CLIP's encode_image gives them, to [B, P, C].
func (m *Model) Prefix(x *torch.Tensor) *torch.Tensor {
	c, p := m.Config, &m.Mapper
	switch c.Mapping {
	case Linear:
		return torch.Linear(x, p.Weight, p.Bias).View(-1, c.Prefix, c.GPT2.Width)
	case MLP:
		return p.Out.Forward(p.In.Forward(x).Tanh()).View(-1, c.Prefix, c.GPT2.Width)
	}
	x = m.enter(p.Linear.Forward(unit(x)))
	for i := range p.Layers {
		x = p.Layers[i].forward(x)
	}
	return x.Narrow(1, c.Clip, c.Prefix)
}

// enter puts the constants behind what CLIP's embedding became: [B, K C] -> [B, K+P, C].
func (m *Model) enter(x *torch.Tensor) *torch.Tensor {
	return enter(x, m.Mapper.Const, m.Config.Clip)
}

func enter(x, constants *torch.Tensor, clip int64) *torch.Tensor {
	x = x.View(-1, clip, constants.Dim(1))
	return torch.Cat(1, x, constants.Unsqueeze(0).Expand(x.Dim(0), -1, -1))
}

// unit gives rows [B, M] the length 1, as ClipCap's transformers were trained on.
func unit(x *torch.Tensor) *torch.Tensor { return x.Div(x.Mul(x).SumDim(-1, true).Sqrt()) }

// mapperHeads is fixed in ClipCap's code.
const mapperHeads = 8

// forward maps [B, T, C] to the same shape.
func (l *Layer) forward(x *torch.Tensor) *torch.Tensor {
	h := l.AttnNorm.Forward(x)
	qkv := torch.Cat(2, l.Query.Forward(h), l.KeysValue.Forward(h)) // [B, T, 3C]
	x = x.Add(l.Out.Forward(nn.SelfAttention(qkv, mapperHeads, nil)))
	return x.Add(l.Down.Forward(l.Up.Forward(l.MLPNorm.Forward(x)).Relu()))
}

// Free releases the weights.
func (m *Model) Free() { nn.Free(m) }

// Decoder is a model prepared for generation. It holds its own tensors; Free releases them, and the model may be
// freed before.
type Decoder struct {
	Text    *gpt2.Decoder
	config  Config
	in, out nn.Packed     // of a linear mapping, in alone
	stack   *nn.Stack     // of a transformer
	consts  *torch.Tensor // of a transformer
}

// Decoder prepares m in type d; see gpt2.Model.Decoder.
func (m *Model) Decoder(d torch.DType) *Decoder {
	p, none := &m.Mapper, torch.NoActivation
	dec := &Decoder{Text: m.GPT2.Decoder(d), config: m.Config}
	switch m.Config.Mapping {
	case Linear:
		dec.in = nn.NewPacked(p.Weight, p.Bias, none, d)
	case MLP:
		dec.in, dec.out = nn.NewPacked(p.In.Weight, p.In.Bias, none, d), nn.NewPacked(p.Out.Weight, p.Out.Bias, none, d)
	case Transformer:
		dec.in = nn.NewPacked(p.Linear.Weight, p.Linear.Bias, none, d)
		dec.consts = p.Const.Detach().Move(p.Const.Device(), torch.Float32, true).Keep()
		torch.NoGrad(func() { torch.Scoped(func() { dec.stack = newStack(p.Layers, d) }) })
	}
	return dec
}

func newStack(layers []Layer, d torch.DType) *nn.Stack {
	blocks := make([]nn.StackBlock, len(layers))
	for i := range layers {
		l := &layers[i]
		qkv := &nn.Linear{Weight: torch.Cat(0, l.Query.Weight.Detach(), l.KeysValue.Weight.Detach())} // [3C, C]
		blocks[i] = nn.StackBlock{AttnNorm: &l.AttnNorm, QKV: qkv, Out: &l.Out, MLPNorm: &l.MLPNorm, Up: &l.Up, Down: &l.Down}
	}
	return nn.NewStack(blocks, mapperHeads, nn.ReLU, d)
}

// Prefix is Model.Prefix.
func (d *Decoder) Prefix(x *torch.Tensor) *torch.Tensor {
	c := d.config
	switch c.Mapping {
	case Linear:
		return d.in.ForwardFloat32(x, nil, nil).View(-1, c.Prefix, c.GPT2.Width)
	case MLP:
		return d.out.ForwardFloat32(d.in.ForwardFloat32(x, nil, nil).Tanh(), nil, nil).View(-1, c.Prefix, c.GPT2.Width)
	}
	x = enter(d.in.ForwardFloat32(unit(x), nil, nil), d.consts, c.Clip).Contiguous()
	return d.stack.Forward(x, nil).Narrow(1, c.Clip, c.Prefix)
}

// Start begins texts of at most maxLen tokens about images, from their embeddings [B, M]. width is how many rows an
// image will have.
func (d *Decoder) Start(x *torch.Tensor, images, width, maxLen int) (*gpt2.Session, error) {
	var s *gpt2.Session
	var err error
	torch.NoGrad(func() {
		torch.Scoped(func() { s, err = d.Text.StartAfter(d.Prefix(x), images, width, maxLen) })
	})
	return s, err
}

// Free releases the tensors.
func (d *Decoder) Free() {
	d.Text.Free()
	d.in.Free()
	d.out.Free()
	d.consts.Free()
	if d.stack != nil {
		d.stack.Free()
	}
}

// longest is the most tokens of a text behind the prefix.
func (c Config) longest() int64 { return max(0, c.GPT2.Positions-max(c.Prefix-1, 0)) }
