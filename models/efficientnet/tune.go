package efficientnet

import (
	"fmt"
	"strconv"
	"strings"

	"captioner/torch"
	"captioner/torch/nn"
)

// FirstBlock is the number of the first block of a stage; stages are counted from 0. Stage 0 begins with the stem.
func (c Config) FirstBlock(stage int) int {
	n := 0
	for _, s := range c.Stages[:stage] {
		n += s.Repeats
	}
	return n
}

// StageInput is what enters a stage behind stage 0 for square images of the given side: the channels of the map and its
// side.
func (c Config) StageInput(stage int, side int64) (channels, mapSide int64) {
	side = (side + 1) / 2
	for _, s := range c.Stages[:stage] {
		side = (side + s.Stride - 1) / s.Stride
	}
	return c.Stages[stage-1].Out, side
}

// Lower gives the map that enters a stage behind stage 0 of normalized images x [B, 3, H, W], as rows [B, h w,
// StageInput], in float32.
func (e *Encoder) Lower(x *torch.Tensor, stage int) *torch.Tensor {
	last := e.Config.FirstBlock(stage)
	return nn.Chunks(x, e.chunk(), e.device, func(x *torch.Tensor) *torch.Tensor { return e.blocksTo(x, last) })
}

// Upper gives the grid [B, h w, GridChannels] from what enters a stage: rows [B, h w, StageInput] as Lower gives them,
// or for stage 0 normalized images [B, 3, H, W]. Its gradients flow to what Tunable lists.
//
// Batch statistics stay as they were learnt: those of a few images are too noisy to learn from, and a fixed
// normalization is part of the convolution before it. So the normalization's scale is in the weight of a convolution,
// and the shift in its bias; and on a CPU a block is one op.
func (m *Model) Upper(x *torch.Tensor, stage int) *torch.Tensor {
	if stage == 0 {
		x = fold(&m.Stem, &m.StemNorm).forward(x.ChannelsLast()).Relu6().Permute(0, 2, 3, 1)
	} else {
		channels, rows := x.Dim(2), x.Dim(1)
		side := int64(1)
		for side*side < rows {
			side++
		}
		if side*side != rows {
			torch.Fail("efficientnet", "%d rows enter stage %d, want those of a square map", rows, stage)
		}
		x = x.View(x.Dim(0), side, side, channels)
	}
	for i := m.Config.FirstBlock(stage); i < len(m.Blocks); i++ {
		x = m.Blocks[i].tuned(x)
	}
	return x.Flatten(1, 2).Contiguous() // [B, h, w, C] -> [B, h w, C]
}

// tuned maps x [B, h, w, C] to [B, h', w', C'].
func (b *Block) tuned(x *torch.Tensor) *torch.Tensor {
	var widen *folded
	if b.Widen != nil {
		widen = fold(b.Widen, b.WidenNorm)
	}
	depth, narrow := fold(&b.Depthwise, &b.DepthNorm), fold(&b.Narrow, &b.NarrowNorm)
	if torch.HasBottleneck(x, depth.Weight.Dim(-1), depth.Stride) {
		var first *torch.Fold
		if widen != nil {
			first = widen.product()
		}
		return torch.Bottleneck(x, first, torch.Fold{Weight: depth.Weight, Bias: depth.Bias}, *narrow.product(),
			depth.Stride, b.Skip)
	}
	x = x.Permute(0, 3, 1, 2) // channels stay innermost
	y := x
	if widen != nil {
		y = widen.forward(y).Relu6()
	}
	y = narrow.forward(depth.forward(y).Relu6())
	if b.Skip {
		y = x.Add(y)
	}
	return y.Permute(0, 2, 3, 1)
}

// folded is a convolution with SAME padding, in which a normalization by stored statistics is.
type folded nn.Conv2d

func fold(c *nn.Conv2d, n *nn.BatchNorm2d) *folded {
	scale := n.Weight.Mul(n.RunningVar.AddScalar(n.Eps).Rsqrt()) // [out]
	return &folded{
		Weight: c.Weight.Mul(scale.View(-1, 1, 1, 1)),
		Bias:   n.Bias.Sub(n.RunningMean.Mul(scale)),
		Stride: c.Stride,
		Groups: c.Groups,
	}
}

// product is a convolution of 1x1 as a product.
func (f *folded) product() *torch.Fold {
	return &torch.Fold{Weight: f.Weight.View(f.Weight.Dim(0), f.Weight.Dim(1)), Bias: f.Bias}
}

// forward maps x [B, in, h, w] to [B, out, h', w']. On a CPU the convolutions of single channels stay in float32 under
// autocast: oneDNN's gradient of them takes five times as long in bfloat16, while the others take half as long.
func (f *folded) forward(x *torch.Tensor) (y *torch.Tensor) {
	if dev := x.Device(); f.Groups > 1 && !dev.IsCUDA() {
		if _, on := torch.AutocastDType(dev); on {
			torch.Autocast(dev, torch.Float32, func() { y = f.forward(x.To(torch.Float32)) })
			return y
		}
	}
	return same((*nn.Conv2d)(f), x)
}

// Tunable marks the parameters from a stage on (statistics left out) as leaves that want gradients, and lists them; all
// others want none.
func (m *Model) Tunable(stage int) ([]nn.Param, error) {
	if stage < 0 || stage >= len(m.Config.Stages) {
		return nil, fmt.Errorf("train the encoder from stage %d: want 0 to %d", stage, len(m.Config.Stages)-1)
	}
	first := m.Config.FirstBlock(stage)
	var out []nn.Param
	for _, p := range nn.State(m) {
		rest, isBlock := strings.CutPrefix(p.Name, "_blocks.")
		number, _, _ := strings.Cut(rest, ".")
		block, _ := strconv.Atoi(number)
		if on := !p.Buffer && (stage == 0 || isBlock && block >= first); on {
			out = append(out, p)
			p.Tensor.RequireGrad(true)
		} else {
			p.Tensor.RequireGrad(false)
		}
	}
	return out, nil
}
