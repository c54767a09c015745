package clip

import (
	"fmt"

	"captioner/torch"
	"captioner/torch/nn"
)

// ModifiedResNet is the paper's ResNet (§2.4): three convolutions as the stem, an average pool before every stride
// (Zhang 2019), and attention in the place of the last pool.
type ModifiedResNet struct {
	Conv1  nn.Conv2d      `key:"conv1"`
	Norm1  nn.BatchNorm2d `key:"bn1"`
	Conv2  nn.Conv2d      `key:"conv2"`
	Norm2  nn.BatchNorm2d `key:"bn2"`
	Conv3  nn.Conv2d      `key:"conv3"`
	Norm3  nn.BatchNorm2d `key:"bn3"`
	Stage1 []Bottleneck   `key:"layer1"`
	Stage2 []Bottleneck   `key:"layer2"`
	Stage3 []Bottleneck   `key:"layer3"`
	Stage4 []Bottleneck   `key:"layer4"`
	Pool   AttentionPool  `key:"attnpool"`
}

// Bottleneck narrows, convolves and widens. All convolutions have stride 1; where stride is more, averages make the map
// smaller.
type Bottleneck struct {
	Conv1 nn.Conv2d      `key:"conv1"`
	Norm1 nn.BatchNorm2d `key:"bn1"`
	Conv2 nn.Conv2d      `key:"conv2"`
	Norm2 nn.BatchNorm2d `key:"bn2"`
	Conv3 nn.Conv2d      `key:"conv3"`
	Norm3 nn.BatchNorm2d `key:"bn3"`
	Short *Shortcut      `key:"downsample"` // nil where the input has the output's shape

	stride int64
}

// Shortcut gives the input of a Bottleneck the shape of its output.
type Shortcut struct {
	Conv nn.Conv2d      `key:"0"`
	Norm nn.BatchNorm2d `key:"1"`
}

// AttentionPool lets the mean of a map look at the map: one layer of attention.
type AttentionPool struct {
	Positions *torch.Tensor `key:"positional_embedding"` // [1 + h w, C]: of the mean, then of the positions
	Q         nn.Linear     `key:"q_proj"`
	K         nn.Linear     `key:"k_proj"`
	V         nn.Linear     `key:"v_proj"`
	Out       nn.Linear     `key:"c_proj"` // C -> E
	heads     int64
}

// widen is how many times more channels a Bottleneck has outside than inside.
const widen = 4

func newResNet(c Config) *ModifiedResNet {
	w := c.Vision.Width
	m := &ModifiedResNet{Conv1: conv(3, w/2, 3, 2), Norm1: norm(w / 2), Conv2: conv(w/2, w/2, 3, 1), Norm2: norm(w / 2),
		Conv3: conv(w/2, w, 3, 1), Norm3: norm(w)}
	in := w
	for i, stage := range m.stages() {
		stride := int64(2)
		if i == 0 {
			stride = 1
		}
		for range c.Vision.Stages[i] {
			*stage = append(*stage, newBottleneck(in, w<<i, stride))
			in, stride = widen*w<<i, 1
		}
	}
	side := c.Vision.ImageSize / shrink
	m.Pool = AttentionPool{
		Positions: nn.NewParam(side*side+1, in),
		Q:         nn.NewLinear(in, in, true),
		K:         nn.NewLinear(in, in, true),
		V:         nn.NewLinear(in, in, true),
		Out:       nn.NewLinear(in, c.EmbedDim, true),
		heads:     c.Vision.Heads,
	}
	return m
}

func (m *ModifiedResNet) stages() [4]*[]Bottleneck {
	return [4]*[]Bottleneck{&m.Stage1, &m.Stage2, &m.Stage3, &m.Stage4}
}

func newBottleneck(in, inside, stride int64) Bottleneck {
	out := widen * inside
	b := Bottleneck{
		Conv1:  conv(in, inside, 1, 1),
		Norm1:  norm(inside),
		Conv2:  conv(inside, inside, 3, 1),
		Norm2:  norm(inside),
		Conv3:  conv(inside, out, 1, 1),
		Norm3:  norm(out),
		stride: stride,
	}
	if stride > 1 || in != out {
		b.Short = &Shortcut{conv(in, out, 1, 1), norm(out)}
	}
	return b
}

// conv keeps the size of the map but for its stride.
func conv(in, out, kernel, stride int64) nn.Conv2d {
	return nn.NewConv2d(in, out, kernel, stride, kernel/2, 1, false)
}

func norm(channels int64) nn.BatchNorm2d { return nn.NewBatchNorm2d(channels, normEpsilon) }

// features gives the last map of images x [B, 3, h, w]: [B, 32 Width, h/32, w/32].
func (m *ModifiedResNet) features(x *torch.Tensor, see see) *torch.Tensor {
	x = m.Norm1.Forward(m.Conv1.Forward(x)).Relu()
	x = m.Norm2.Forward(m.Conv2.Forward(x)).Relu()
	x = m.Norm3.Forward(m.Conv3.Forward(x)).Relu()
	x = torch.AvgPool2d(x, 2) // [B, Width, h/4, w/4]
	see("avgpool", x)
	for i, stage := range m.stages() {
		for j := range *stage {
			x = torch.Tidy1(func() *torch.Tensor { return (*stage)[j].forward(x) })
			see(fmt.Sprintf("layer%d.%d", i+1, j), x)
		}
	}
	return x
}

func (b *Bottleneck) forward(x *torch.Tensor) *torch.Tensor {
	y := b.Norm1.Forward(b.Conv1.Forward(x)).Relu()
	y = b.Norm2.Forward(b.Conv2.Forward(y)).Relu()
	if b.stride > 1 {
		y = torch.AvgPool2d(y, b.stride)
	}
	y = b.Norm3.Forward(b.Conv3.Forward(y))
	if b.Short != nil {
		if b.stride > 1 {
			x = torch.AvgPool2d(x, b.stride)
		}
		x = b.Short.Norm.Forward(b.Short.Conv.Forward(x))
	}
	return y.Add(x).Relu()
}

// forward maps x [B, C, h, w] to [B, queries, E]: of the mean alone with 1 query, of the mean and every position with
// -1.
func (p *AttentionPool) forward(x *torch.Tensor, queries int64) *torch.Tensor {
	x = rows(x)                                                  // [B, h w, C]
	x = torch.Cat(1, x.MeanDim(1, true), x).Add(p.Positions)     // [B, 1 + h w, C]
	heads := func(l *nn.Linear, x *torch.Tensor) *torch.Tensor { // [B, T, C] -> [B, H, T, D]
		return l.Forward(x).View(x.Dim(0), x.Dim(1), p.heads, -1).Transpose(1, 2)
	}
	asking := x
	if queries > 0 {
		asking = x.Narrow(1, 0, queries)
	}
	return p.Out.Forward(nn.JoinHeads(nn.Attend(heads(&p.Q, asking), heads(&p.K, x), heads(&p.V, x), nil)))
}
