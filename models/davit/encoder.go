package davit

import (
	"fmt"

	"captioner/torch"
	"captioner/torch/nn"
)

// Encoder is the network prepared for inference. It holds its own tensors: Free releases them, and the Model that it
// was made from may go first.
type Encoder struct {
	Config Config
	device torch.Device
	stages []stage

	// Trace, if not nil, is told every map; tests look at them.
	Trace func(name string, t *torch.Tensor)
}

type stage struct {
	embed   convolution
	norm    nn.PackedNorm
	preNorm bool
	halves  []half // spatial and channel in turn
	heads   int64
	groups  int64
}

type half struct {
	conv1, conv2       convolution
	norm1, norm2       nn.PackedNorm
	qkv, out, up, down nn.Packed
	spatial            bool
}

// Encoder prepares m in type d, on the device of its weights: float32, or bfloat16 or int8 for the products alone.
// Convolutions, norms, attention over channels and the residual stream stay in float32.
func (m *Model) Encoder(d torch.DType) *Encoder {
	e := &Encoder{Config: m.Config, device: m.Embeds[0].Conv.Weight.Device()}
	torch.NoGrad(func() {
		torch.Scoped(func() {
			for i := range m.Embeds {
				s := stage{
					embed: newConvolution(&m.Embeds[i].Conv, false), norm: nn.NewPackedNorm(&m.Embeds[i].Norm),
					preNorm: m.Embeds[i].preNorm, heads: m.Config.Heads[i], groups: m.Config.Groups[i],
				}
				for j := range m.Blocks[i] {
					b := &m.Blocks[i][j]
					s.halves = append(s.halves, newHalfOf(&b.Spatial.Half, &b.Spatial.Attention, d, true),
						newHalfOf(&b.Channel.Half, &b.Channel.Attention, d, false))
				}
				e.stages = append(e.stages, s)
			}
		})
	})
	return e
}

func newHalfOf(h *Half, a *Attention, d torch.DType, spatial bool) half {
	const none = torch.NoActivation
	return half{
		conv1: newConvolution(&h.Conv1, true), norm1: nn.NewPackedNorm(&h.Norm1),
		qkv: nn.NewPacked(a.QKV.Weight, a.QKV.Bias, none, d), out: nn.NewPacked(a.Out.Weight, a.Out.Bias, none, d),
		conv2: newConvolution(&h.Conv2, true), norm2: nn.NewPackedNorm(&h.Norm2),
		up:   nn.NewPacked(h.Up.Weight, h.Up.Bias, torch.GELUErf, d),
		down: nn.NewPacked(h.Down.Weight, h.Down.Bias, none, d), spatial: spatial,
	}
}

// chunk is how many images go through at once on the CPU: the first maps of one of 768 pixels are 19 MB.
const chunk = 1

// Map gives the last map of normalized images x [B, 3, h, w] as positions, row by row: [B, H·W, C] in float32. An
// image's map does not depend on the others of its batch.
func (e *Encoder) Map(x *torch.Tensor) *torch.Tensor {
	return nn.Chunks(x, chunk, e.device, func(x *torch.Tensor) *torch.Tensor {
		x = x.Permute(0, 2, 3, 1).Contiguous() // [B, 3, h, w] -> [B, h, w, 3]
		for i := range e.stages {
			x = torch.Tidy1(func() *torch.Tensor { return e.stages[i].begin(x) })
			e.see(fmt.Sprintf("convs.%d", i), x)
			for j := range e.stages[i].halves {
				x = torch.Tidy1(func() *torch.Tensor { return e.half(&e.stages[i], j, x) })
				name := fmt.Sprintf("blocks.%d.%d", i, j/2)
				if j%2 == 0 {
					name += ".spatial_block"
				}
				e.see(name, x)
			}
		}
		return x.Flatten(1, 2)
	})
}

// begin makes a map [B, H, W, C] smaller and wider.
func (s *stage) begin(x *torch.Tensor) *torch.Tensor {
	if s.preNorm {
		return s.embed.forward(s.norm.Forward(x, torch.Float32))
	}
	return s.norm.Forward(s.embed.forward(x), torch.Float32)
}

// half maps [B, H, W, C] to the same shape.
func (e *Encoder) half(s *stage, number int, x *torch.Tensor) *torch.Tensor {
	h, shape := &s.halves[number], x.Shape()
	x = h.conv1.forward(x)
	if h.spatial {
		x = h.windows(x, s.heads, e.Config.Window)
	} else {
		x = x.Flatten(1, 2) // [B, N, C]
		seen := overChannels(h.qkv.Forward(x, &h.norm1).To(torch.Float32), s.groups)
		x = h.out.ForwardFloat32(seen, nil, x).View(shape...)
	}
	x = h.conv2.forward(x).Flatten(1, 2) // [B, N, C]
	return h.down.ForwardFloat32(h.up.Forward(x, &h.norm2), nil, x).View(shape...)
}

// windows adds to x [B, H, W, C] what the positions of its windows see of each other.
func (h *half) windows(x *torch.Tensor, heads, side int64) *torch.Tensor {
	g := grid{x.Dim(0), x.Dim(1), x.Dim(2), side}
	if !g.whole() { // zeros come in behind the norm
		cut := g.cut(h.norm1.Forward(x, torch.Float32))
		seen := nn.HeadAttention(h.qkv.Forward(cut, nil), heads)
		return g.join(h.out.ForwardFloat32(seen, nil, nil)).Add(x)
	}
	cut := g.cut(x) // [B·windows, side², C]
	seen := nn.HeadAttention(h.qkv.Forward(cut, &h.norm1), heads)
	return g.join(h.out.ForwardFloat32(seen, nil, cut))
}

// Free releases the tensors.
func (e *Encoder) Free() {
	for i := range e.stages {
		s := &e.stages[i]
		s.embed.free()
		s.norm.Free()
		for j := range s.halves {
			h := &s.halves[j]
			h.conv1.free()
			h.conv2.free()
			h.norm1.Free()
			h.norm2.Free()
			for _, p := range []*nn.Packed{&h.qkv, &h.out, &h.up, &h.down} {
				p.Free()
			}
		}
	}
}

func (e *Encoder) see(name string, t *torch.Tensor) {
	if e.Trace != nil {
		e.Trace(name, t)
	}
}
