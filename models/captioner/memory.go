package captioner

import (
	"math"

	"captioner/torch"
	"captioner/torch/nn"
)

// gridMemory makes the decoder's memory of a grid of features: normalise, project to the decoder's width, normalise, and add a learned
// vector for the row and one for the column, so that the decoder can tell places apart.
type gridMemory struct {
	In      nn.LayerNorm  `key:"norm_in"`
	Project nn.Linear     `key:"project"`
	Out     nn.LayerNorm  `key:"norm_out"`
	Rows    *torch.Tensor `key:"rows"`    // [side, C]
	Columns *torch.Tensor `key:"columns"` // [side, C]
	Blocks  []memoryBlock `key:"layers"`
	Last    *nn.LayerNorm `key:"norm_last"` // behind the blocks; nil without any

	side    int64
	dropout float64
}

func newGridMemory(m Memory, width int64) *gridMemory {
	empty := func() *torch.Tensor { return torch.Empty(torch.Float32, torch.CPU, m.Side, width).Keep() }
	g := &gridMemory{In: nn.NewLayerNorm(m.In, 1e-5), Project: nn.NewLinear(m.In, width, true), Out: nn.NewLayerNorm(width, 1e-5),
		Rows: empty(), Columns: empty(), side: m.Side, dropout: m.Dropout}
	for range m.Layers {
		g.Blocks = append(g.Blocks, newMemoryBlock(width, m.Heads))
	}
	if m.Layers > 0 {
		last := nn.NewLayerNorm(width, 1e-5)
		g.Last = &last
	}
	return g
}

// init draws new weights.
func (g *gridMemory) init() {
	norms := []*nn.LayerNorm{&g.In, &g.Out}
	for i := range g.Blocks {
		b := &g.Blocks[i]
		norms = append(norms, &b.AttnNorm, &b.MLPNorm)
		for _, l := range []*nn.Linear{&b.QKV, &b.Up, &b.AttnOut, &b.Down} {
			nn.Normal(l.Weight, .02)
			nn.Constant(l.Bias, 0)
		}
		for _, l := range []*nn.Linear{&b.AttnOut, &b.Down} { // what is added to the stream is small at first, as in GPT-2
			nn.Normal(l.Weight, .02/math.Sqrt(float64(2*len(g.Blocks))))
		}
	}
	if g.Last != nil {
		norms = append(norms, g.Last)
	}
	for _, n := range norms {
		nn.Constant(n.Weight, 1)
		nn.Constant(n.Bias, 0)
	}
	nn.Normal(g.Project.Weight, 1/math.Sqrt(float64(g.Project.Weight.Dim(1))))
	nn.Constant(g.Project.Bias, 0)
	nn.Normal(g.Rows, .02)
	nn.Normal(g.Columns, .02)
}

// forward maps features [B, side², In] to a memory [B, side², C].
func (g *gridMemory) forward(features *torch.Tensor, train bool) *torch.Tensor {
	drop := func(x *torch.Tensor) *torch.Tensor {
		if !train {
			return x
		}
		return x.Dropout(g.dropout)
	}
	x := g.Out.Forward(g.Project.Forward(drop(g.In.Forward(features)))) // [B, P, C]
	place := g.Rows.Unsqueeze(1).Add(g.Columns.Unsqueeze(0))            // [side, 1, C] + [1, side, C] -> [side, side, C]
	x = drop(x.Add(place.Reshape(1, g.side*g.side, -1)))
	if g.Last == nil {
		return x
	}
	for i := range g.Blocks {
		x = torch.Tidy1(func() *torch.Tensor { return g.Blocks[i].forward(x, drop) })
	}
	return g.Last.Forward(x)
}

// memoryBlock lets the places of a memory look at each other: attention, then two layers on each place by itself, each with a norm before it
// and its input added after it (Vaswani et al. 2017, with the norms moved as in GPT-2).
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
	return memoryBlock{AttnNorm: nn.NewLayerNorm(width, 1e-5), QKV: nn.NewLinear(width, 3*width, true), AttnOut: nn.NewLinear(width, width, true),
		MLPNorm: nn.NewLayerNorm(width, 1e-5), Up: nn.NewLinear(width, 4*width, true), Down: nn.NewLinear(4*width, width, true), heads: heads}
}

// forward maps [B, P, C] to the same shape. The attention is plain products, whose backward is quicker than that of libtorch's fused kernel.
func (b *memoryBlock) forward(x *torch.Tensor, drop func(*torch.Tensor) *torch.Tensor) *torch.Tensor {
	n, p, c := x.Dim(0), x.Dim(1), x.Dim(2)
	qkv := b.QKV.Forward(b.AttnNorm.Forward(x)).View(n, p, 3, b.heads, c/b.heads).Permute(2, 0, 3, 1, 4) // [B, P, 3C] -> [3, B, H, P, D]
	q := qkv.Select(0, 0).MulScalar(1 / math.Sqrt(float64(c/b.heads)))
	y := q.Matmul(qkv.Select(0, 1).Transpose(-1, -2)).Softmax(-1).Matmul(qkv.Select(0, 2)) // [B, H, P, D]
	x = x.Add(drop(b.AttnOut.Forward(y.Transpose(1, 2).Reshape(n, p, c))))
	return x.Add(drop(b.Down.Forward(b.Up.Forward(b.MLPNorm.Forward(x)).GELU(true))))
}
