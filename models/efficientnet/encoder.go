package efficientnet

import (
	"fmt"

	"captioner/torch"
	"captioner/torch/nn"
)

// Encoder is a net prepared for inference. It holds its own tensors: Free releases them, and the Model that it was made
// from may go first.
type Encoder struct {
	Config Config
	dtype  torch.DType
	device torch.Device
	stem   layer
	blocks [][]layer

	trace func(name string, t *torch.Tensor)
}

// layer is a convolution with its normalization folded in.
type layer struct {
	weight, bias    *torch.Tensor // weight is packed on CPU
	stride, padding [2]int64
	groups          int64
	packed          bool
	relu6           bool
	skip            bool // add the input of the block
}

// Encoder prepares m for inference in type d (float32 or bfloat16 on CPU; int8 stands for the quickest of the two) on
// the device of its weights.
//
// The kernels are turned by half a turn, and Grid turns images and maps likewise. SAME padding at stride 2 puts the odd
// pixel of padding behind the image; seen from the other end it stands before it, where symmetric padding of k/2 has it
// too. So no map is ever padded by a copy, and the convolutions run in oneDNN's fused kernels.
func (m *Model) Encoder(d torch.DType) *Encoder {
	d = nn.Unquantized(d)
	e := &Encoder{Config: m.Config, dtype: d, device: m.Stem.Weight.Device()}
	torch.NoGrad(func() {
		e.stem = e.fold(&m.Stem, &m.StemNorm, true)
		for i := range m.Blocks {
			b := &m.Blocks[i]
			var layers []layer
			if b.Widen != nil {
				layers = append(layers, e.fold(b.Widen, b.WidenNorm, true))
			}
			last := e.fold(&b.Narrow, &b.NarrowNorm, false)
			last.skip = b.Skip
			e.blocks = append(e.blocks, append(layers, e.fold(&b.Depthwise, &b.DepthNorm, true), last))
		}
	})
	return e
}

func (e *Encoder) fold(c *nn.Conv2d, n *nn.BatchNorm2d, relu6 bool) layer {
	k := c.Weight.Dim(-1)
	l := layer{stride: [2]int64{c.Stride, c.Stride}, padding: [2]int64{k / 2, k / 2}, groups: c.Groups, relu6: relu6,
		packed: e.device == torch.CPU && (e.dtype == torch.Float32 || e.dtype == torch.BFloat16)}
	torch.Scoped(func() {
		scale := n.Weight.Mul(n.RunningVar.AddScalar(n.Eps).Rsqrt())                         // [out]
		weight := c.Weight.Detach().Mul(scale.View(-1, 1, 1, 1)).Flip(2).Flip(3).To(e.dtype) // [out, in/groups, k, k]
		l.bias = n.Bias.Sub(n.RunningMean.Mul(scale)).Detach().To(e.dtype).Clone().Keep()    // [out]
		if l.packed {
			l.weight = torch.PackConv2d(
				weight.ChannelsLast(),
				l.stride,
				l.padding,
				[2]int64{1, 1},
				l.groups,
				nil,
			).Keep()
		} else {
			l.weight = weight.ChannelsLast().Clone().Keep()
		}
	})
	return l
}

// Free releases the tensors.
func (e *Encoder) Free() {
	free := func(l layer) { l.weight.Free(); l.bias.Free() }
	free(e.stem)
	for _, b := range e.blocks {
		for _, l := range b {
			free(l)
		}
	}
}

// chunk is how many images go through the CPU's net at once: the widest maps of two float32 images (or four bfloat16
// ones) are 13 MB. With twice as many the net is a tenth faster and takes 40 MB more at its peak; with more than that
// it is slower.
func (e *Encoder) chunk() int64 {
	if e.dtype == torch.BFloat16 {
		return 4
	}
	return 2
}

// Grid gives the features of normalized images x [B, 3, H, W] (see encoder.Pixels) as a memory, [B, h w, GridChannels],
// row by row, in float32. An image's features do not depend on the others of its batch.
func (e *Encoder) Grid(x *torch.Tensor) *torch.Tensor {
	return nn.Chunks(
		x,
		e.chunk(),
		e.device,
		func(x *torch.Tensor) *torch.Tensor { return e.blocksTo(x, len(e.blocks)) },
	)
}

// blocksTo runs the stem and the first n blocks.
func (e *Encoder) blocksTo(x *torch.Tensor, n int) (out *torch.Tensor) {
	return torch.Tidy1(func() *torch.Tensor {
		torch.NoGrad(func() {
			x = turn(x.Move(e.device, e.dtype, false)).ChannelsLast()
			x = e.stem.forward(x, nil)
			e.see("stem", x)
			for i, b := range e.blocks[:n] {
				x = torch.Tidy1(func() *torch.Tensor {
					y := x
					for _, l := range b {
						y = l.forward(y, x)
					}
					return y
				})
				e.see(fmt.Sprintf("blocks.%d", i), x)
			}
			x = grid(turn(x).To(torch.Float32))
		})
		return x
	})
}

func (l *layer) forward(x, block *torch.Tensor) *torch.Tensor {
	if !l.skip {
		block = nil
	}
	if l.packed {
		act := torch.NoActivation
		if l.relu6 {
			act = torch.ReLU6
		}
		return torch.PackedConv2d(x, l.weight, l.bias, l.stride, l.padding, [2]int64{1, 1}, l.groups, act, block)
	}
	x = torch.Conv2d(x, l.weight, l.bias, l.stride, l.padding, [2]int64{1, 1}, l.groups)
	if l.relu6 {
		x = x.Relu6()
	}
	if block != nil {
		x = x.Add(block)
	}
	return x
}

func (e *Encoder) see(name string, t *torch.Tensor) {
	if e.trace != nil {
		e.trace(name, turn(t).To(torch.Float32))
	}
}

// turn is x [B, C, h, w] turned by half a turn.
func turn(x *torch.Tensor) *torch.Tensor { return x.Flip(2).Flip(3) }

// Mean and Std are what the published weights were trained with, of 0..255 values: x = (pixel - Mean)/Std.
const (
	Mean = 127.0
	Std  = 128.0
)
