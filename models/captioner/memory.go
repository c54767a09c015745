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

	side    int64
	dropout float64
}

func newGridMemory(m Memory, width int64) *gridMemory {
	empty := func() *torch.Tensor { return torch.Empty(torch.Float32, torch.CPU, m.Side, width).Keep() }
	return &gridMemory{In: nn.NewLayerNorm(m.In, 1e-5), Project: nn.NewLinear(m.In, width, true), Out: nn.NewLayerNorm(width, 1e-5),
		Rows: empty(), Columns: empty(), side: m.Side, dropout: m.Dropout}
}

// init draws new weights.
func (g *gridMemory) init() {
	for _, n := range []*nn.LayerNorm{&g.In, &g.Out} {
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
	return drop(x.Add(place.Reshape(1, g.side*g.side, -1)))
}
