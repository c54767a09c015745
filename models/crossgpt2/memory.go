package crossgpt2

import (
	"math"

	"captioner/models/encoder"
	"captioner/torch"
	"captioner/torch/nn"
)

// Memory makes the decoder's memory of features. What its kind has no use for is nil.
type Memory struct {
	In      *nn.LayerNorm `key:"norm_in"`
	Project *nn.Linear    `key:"project"`
	Out     *nn.LayerNorm `key:"norm_out"`
	Rows    *torch.Tensor `key:"rows"`    // [side, C]
	Columns *torch.Tensor `key:"columns"` // [side, C]
	Blocks  []memoryBlock `key:"layers"`
	Last    *nn.LayerNorm `key:"norm_last"` // behind the blocks; nil without any

	of    encoder.Memory
	width int64
}

func newMemory(m encoder.Memory, width int64) *Memory {
	out := &Memory{of: m, width: width}
	if m.Kind == encoder.PooledPadded || m.Kind == encoder.Tokens && m.In == width {
		return out
	}
	project := nn.NewLinear(m.In, width, true)
	out.Project = &project
	if m.Kind == encoder.PooledProjected || m.Kind == encoder.Tokens {
		return out
	}
	norm := func(width int64) *nn.LayerNorm { n := nn.NewLayerNorm(width, 1e-5); return &n }
	out.In, out.Out = norm(m.In), norm(width)
	if m.Kind == encoder.Grid {
		out.Rows = torch.Empty(torch.Float32, torch.CPU, m.Side, width).Keep()
		out.Columns = torch.Empty(torch.Float32, torch.CPU, m.Side, width).Keep()
	}
	for range m.Layers {
		out.Blocks = append(out.Blocks, newMemoryBlock(width, m.Heads))
	}
	if m.Layers > 0 {
		out.Last = norm(width)
	}
	return out
}

// init draws new weights.
func (m *Memory) init() {
	norms := []*nn.LayerNorm{m.In, m.Out, m.Last}
	for i := range m.Blocks {
		b := &m.Blocks[i]
		norms = append(norms, &b.AttnNorm, &b.MLPNorm)
		b.init(len(m.Blocks))
	}
	for _, n := range norms {
		if n != nil {
			nn.Constant(n.Weight, 1)
			nn.Constant(n.Bias, 0)
		}
	}
	if m.Project != nil {
		nn.Normal(m.Project.Weight, 1/math.Sqrt(float64(m.of.In)))
		nn.Constant(m.Project.Bias, 0)
	}
	if m.Rows != nil {
		nn.Normal(m.Rows, .02)
		nn.Normal(m.Columns, .02)
	}
}

// forward maps features [B, P, In] to a memory [B, P, C].
func (m *Memory) forward(x *torch.Tensor, train bool) *torch.Tensor {
	drop := func(x *torch.Tensor) *torch.Tensor {
		if !train {
			return x
		}
		return x.Dropout(m.of.Dropout)
	}
	if m.of.Kind == encoder.PooledPadded {
		return x.Pad(0, m.width-m.of.In)
	}
	if m.In != nil {
		x = m.In.Forward(x)
	}
	if x = drop(x); m.Project != nil {
		x = m.Project.Forward(x) // [B, P, C]
	}
	if m.Out != nil {
		x = m.Out.Forward(x)
	}
	if m.Rows != nil {
		position := m.Rows.Unsqueeze(1).Add(m.Columns.Unsqueeze(0)) // [side, 1, C] + [1, side, C] -> [side, side, C]
		x = x.Add(position.Reshape(1, m.of.Side*m.of.Side, -1))
	}
	x = drop(x)
	if m.Last == nil {
		return x
	}
	for i := range m.Blocks {
		x = torch.Tidy1(func() *torch.Tensor { return m.Blocks[i].forward(x, drop) })
	}
	return m.Last.Forward(x)
}

// memoryBlock lets the positions of a memory look at each other: attention, then two layers on each position by itself,
// each with a norm before it and its input added after it (Vaswani et al. 2017, with the norms moved as in GPT-2).
type memoryBlock struct {
	AttnNorm nn.LayerNorm `key:"ln_1"`
	QKV      nn.Linear    `key:"attn.qkv"` // [3C, C]: queries, keys, values
	AttnOut  nn.Linear    `key:"attn.out"`
	MLPNorm  nn.LayerNorm `key:"ln_2"`
	Up       nn.Linear    `key:"mlp.up"`
	Down     nn.Linear    `key:"mlp.down"`

	heads int64
}

func newMemoryBlock(width, heads int64) memoryBlock {
	return memoryBlock{
		AttnNorm: nn.NewLayerNorm(width, 1e-5),
		QKV:      nn.NewLinear(width, 3*width, true),
		AttnOut:  nn.NewLinear(width, width, true),
		MLPNorm: nn.NewLayerNorm(
			width,
			1e-5,
		),
		Up:    nn.NewLinear(width, 4*width, true),
		Down:  nn.NewLinear(4*width, width, true),
		heads: heads,
	}
}

// init draws new weights, of blocks in all: what is added to the stream is small at first, as in GPT-2.
func (b *memoryBlock) init(blocks int) {
	for _, l := range []*nn.Linear{&b.QKV, &b.Up, &b.AttnOut, &b.Down} {
		nn.Normal(l.Weight, .02)
		nn.Constant(l.Bias, 0)
	}
	for _, l := range []*nn.Linear{&b.AttnOut, &b.Down} {
		nn.Normal(l.Weight, .02/math.Sqrt(float64(2*blocks)))
	}
}

// forward maps [B, P, C] to the same shape. The attention is plain products, whose backward is quicker than that of
// libtorch's fused kernel.
func (b *memoryBlock) forward(x *torch.Tensor, drop func(*torch.Tensor) *torch.Tensor) *torch.Tensor {
	n, p, c := x.Dim(0), x.Dim(1), x.Dim(2)
	qkv := b.QKV.Forward(
		b.AttnNorm.Forward(x),
	).View(
		n,
		p,
		3,
		b.heads,
		c/b.heads,
	).Permute(
		2,
		0,
		3,
		1,
		4,
	) // [B, P, 3C] -> [3, B, H, P, D]
	q := qkv.Select(0, 0).MulScalar(1 / math.Sqrt(float64(c/b.heads)))
	y := q.Matmul(qkv.Select(0, 1).Transpose(-1, -2)).Softmax(-1).Matmul(qkv.Select(0, 2)) // [B, H, P, D]
	x = x.Add(drop(b.AttnOut.Forward(y.Transpose(1, 2).Reshape(n, p, c))))
	return x.Add(drop(b.Down.Forward(b.Up.Forward(b.MLPNorm.Forward(x)).GELU(true))))
}
