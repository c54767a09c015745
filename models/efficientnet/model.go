// Package efficientnet is the image encoder EfficientNet-Lite (Tan and Le 2019; the Lite family drops
// squeeze-and-excitation and uses ReLU6), in the keys of the published PyTorch checkpoints (_conv_stem,
// _blocks.0._depthwise_conv, …).
//
// A [Model] is the net as it is stored, with batch normalization apart; it reads like the paper and its gradients flow.
// An [Encoder] is made from it for inference: normalization folded into the convolutions, weights laid out for the
// processor, three times as fast.
//
// Both give the grid: the map before the 1x1 head, as a memory for a decoder to look at. Batch statistics are never
// updated.
package efficientnet

import (
	"fmt"
	"strings"

	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
)

// bnEpsilon is the epsilon of every normalization in the family.
const bnEpsilon = 1e-3

// Model is a net in the layout of its checkpoint.
type Model struct {
	Config     Config
	Stem       nn.Conv2d       `key:"_conv_stem"`
	StemNorm   nn.BatchNorm2d  `key:"_bn0"`
	Blocks     []Block         `key:"_blocks"`
	Head       *nn.Conv2d      `key:"_conv_head"` // nil without a head, as HeadNorm
	HeadNorm   *nn.BatchNorm2d `key:"_bn1"`
	Classifier *nn.Linear      `key:"_fc"` // nil without classes

	trace func(name string, t *torch.Tensor) // tests look at every map through it
}

// Block is a mobile inverted bottleneck: widen, convolve each channel by itself, narrow. Widen is nil where the block
// is not wider inside.
type Block struct {
	Widen      *nn.Conv2d      `key:"_expand_conv"`
	WidenNorm  *nn.BatchNorm2d `key:"_bn0"`
	Depthwise  nn.Conv2d       `key:"_depthwise_conv"`
	DepthNorm  nn.BatchNorm2d  `key:"_bn1"`
	Narrow     nn.Conv2d       `key:"_project_conv"`
	NarrowNorm nn.BatchNorm2d  `key:"_bn2"`
	Skip       bool            // add the input
}

// New makes a net with unset weights; Load fills them. Run it inside torch.Do; Free releases it.
func New(c Config) (*Model, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	m := &Model{Config: c, Stem: conv(3, c.Stem, 3, 2, 1), StemNorm: norm(c.Stem)}
	in := c.Stem
	for _, s := range c.Stages {
		for r := range s.Repeats {
			stride := s.Stride
			if r > 0 {
				stride = 1
			}
			m.Blocks = append(m.Blocks, newBlock(in, s.Out, s.Kernel, stride, s.Expand))
			in = s.Out
		}
	}
	if c.Head > 0 {
		head, headNorm := conv(in, c.Head, 1, 1, 1), norm(c.Head)
		m.Head, m.HeadNorm = &head, &headNorm
	}
	if c.Classes > 0 {
		classifier := nn.NewLinear(c.Head, c.Classes, true)
		m.Classifier = &classifier
	}
	return m, nil
}

func newBlock(in, out, kernel, stride, expand int64) Block {
	mid := in * expand
	b := Block{
		Depthwise:  conv(mid, mid, kernel, stride, mid),
		DepthNorm:  norm(mid),
		Narrow:     conv(mid, out, 1, 1, 1),
		NarrowNorm: norm(out),
		Skip:       stride == 1 && in == out,
	}
	if expand != 1 {
		widen, widenNorm := conv(in, mid, 1, 1, 1), norm(mid)
		b.Widen, b.WidenNorm = &widen, &widenNorm
	}
	return b
}

// conv has no padding of its own: same does it.
func conv(in, out, kernel, stride, groups int64) nn.Conv2d {
	return nn.NewConv2d(in, out, kernel, stride, 0, groups, false)
}

func norm(channels int64) nn.BatchNorm2d { return nn.NewBatchNorm2d(channels, bnEpsilon) }

// Load fills the net from a checkpoint in the published keys, below o.Prefix where that is set. Counters of batches are
// left unread, and so are head and classifier in a net without them.
func (m *Model) Load(src weights.Source, o nn.LoadOptions) error {
	ignore := o.Ignore
	o.Ignore = func(name string) bool {
		key := strings.TrimPrefix(name, o.Prefix)
		return strings.HasSuffix(key, ".num_batches_tracked") ||
			m.Head == nil && (strings.HasPrefix(key, "_conv_head.") || strings.HasPrefix(key, "_bn1.")) ||
			m.Classifier == nil && strings.HasPrefix(key, "_fc.") || ignore != nil && ignore(name)
	}
	return nn.Load(m, src, o)
}

// Free releases the weights.
func (m *Model) Free() { nn.Free(m) }

// Features gives the map before the head, [B, GridChannels, h, w], of normalized images x [B, 3, H, W] (see
// encoder.Pixels).
func (m *Model) Features(x *torch.Tensor) *torch.Tensor {
	x = m.StemNorm.Forward(same(&m.Stem, x)).Relu6()
	m.see("stem", x)
	for i := range m.Blocks {
		x = m.Blocks[i].forward(x)
		m.see(fmt.Sprintf("blocks.%d", i), x)
	}
	return x
}

// Grid gives the features as a memory, [B, h w, GridChannels], row by row.
func (m *Model) Grid(x *torch.Tensor) *torch.Tensor { return grid(m.Features(x)) }

// Classify gives the logits of the classes, [B, Classes]. The net needs head and classifier.
func (m *Model) Classify(x *torch.Tensor) *torch.Tensor {
	if m.Classifier == nil {
		torch.Fail("efficientnet", "classify with a net without a classifier")
	}
	x = m.HeadNorm.Forward(same(m.Head, m.Features(x))).Relu6() // [B, Head, h, w]
	m.see("head", x)
	return m.Classifier.Forward(x.Flatten(2, 3).MeanDim(2, false)) // [B, Head] -> [B, Classes]
}

func (m *Model) see(name string, t *torch.Tensor) {
	if m.trace != nil {
		m.trace(name, t)
	}
}

func (b *Block) forward(x *torch.Tensor) *torch.Tensor {
	y := x
	if b.Widen != nil {
		y = b.WidenNorm.Forward(same(b.Widen, y)).Relu6()
	}
	y = b.DepthNorm.Forward(same(&b.Depthwise, y)).Relu6()
	y = b.NarrowNorm.Forward(same(&b.Narrow, y))
	if b.Skip {
		y = x.Add(y)
	}
	return y
}

// same convolves with TensorFlow's SAME padding: the output has ⌈n/stride⌉ positions, and an odd pixel of padding goes
// right and down.
func same(c *nn.Conv2d, x *torch.Tensor) *torch.Tensor {
	k := c.Weight.Dim(-1)
	side := func(n int64) (before, after int64) {
		total := max(0, ((n+c.Stride-1)/c.Stride-1)*c.Stride+k-n)
		return total / 2, total - total/2
	}
	top, bottom := side(x.Dim(2))
	left, right := side(x.Dim(3))
	padding := [2]int64{top, left}
	if top != bottom || left != right {
		x, padding = x.Pad(left, right, top, bottom), [2]int64{}
	}
	return torch.Conv2d(x, c.Weight, c.Bias, [2]int64{c.Stride, c.Stride}, padding, [2]int64{1, 1}, c.Groups)
}

// grid turns a map [B, C, h, w] into rows [B, h w, C].
func grid(x *torch.Tensor) *torch.Tensor { return x.Flatten(2, 3).Transpose(1, 2).Contiguous() }
