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
	pack := func(l *nn.Linear, act torch.Activation) nn.Packed {
		return nn.NewPackedFor(nn.Encoder, l.Weight, l.Bias, act, d)
	}
	return half{
		conv1: newConvolution(&h.Conv1, true), norm1: nn.NewPackedNorm(&h.Norm1),
		qkv: pack(&a.QKV, none), out: pack(&a.Out, none),
		conv2: newConvolution(&h.Conv2, true), norm2: nn.NewPackedNorm(&h.Norm2),
		up: pack(&h.Up, torch.GELUErf), down: pack(&h.Down, none), spatial: spatial,
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
		x = nn.WindowsOf(x, e.Config.Window, 0).Attend(x, &h.norm1, &h.qkv, &h.out,
			func(qkv *torch.Tensor) *torch.Tensor { return nn.HeadAttention(qkv, s.heads, nil) })
	} else {
		x = x.Flatten(1, 2) // [B, N, C]
		seen := overChannels(h.qkv.Forward(x, &h.norm1).To(torch.Float32), s.groups)
		x = h.out.ForwardFloat32(seen, nil, x).View(shape...)
	}
	x = h.conv2.forward(x).Flatten(1, 2) // [B, N, C]
	return h.down.ForwardFloat32(h.up.Forward(x, &h.norm2), nil, x).View(shape...)
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
