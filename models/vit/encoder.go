package vit

import (
	"fmt"

	"captioner/torch"
	"captioner/torch/nn"
)

// Encoder is the network prepared for inference. It holds its own tensors: Free releases them, and the Model that it
// was made from may go first.
type Encoder struct {
	Config  Config
	device  torch.Device
	patches nn.Patches
	stack   *nn.Stack
	norm    nn.PackedNorm
	learned *Model // the positions alone, where images may have other sizes; nil: they have not

	trace func(name string, t *torch.Tensor) // tests look at every map through it
}

// chunk is how many images go through at once on the CPU.
const chunk = 8

// Encoder prepares m in type d, on the device of its weights: float32, or bfloat16 or int8 with norms, softmax and the
// residual stream in float32.
func (m *Model) Encoder(d torch.DType) *Encoder {
	e := &Encoder{Config: m.Config, device: m.Positions.Device(), norm: nn.NewPackedNorm(&m.Norm)}
	torch.NoGrad(func() {
		torch.Scoped(func() {
			grid := m.Config.grid()
			e.patches = nn.NewPatches(&m.Patches, m.lead(), m.positions(grid), grid, d)
			if m.Config.Grid > 0 {
				e.learned = &Model{Config: m.Config, Positions: m.Positions.Detach().Clone().Keep()}
			}
			blocks := make([]nn.StackBlock, len(m.Blocks))
			for i := range m.Blocks {
				blocks[i] = m.Blocks[i].stacked(m.Config)
			}
			e.stack = nn.NewStack(blocks, m.Config.Heads, m.Config.activation(), d)
		})
	})
	return e
}

// stacked is the block in the parts of a stack.
func (b *Block) stacked(c Config) nn.StackBlock {
	out := nn.StackBlock{AttnNorm: &b.AttnNorm, QKV: &b.QKV, Out: &b.Out, MLPNorm: &b.MLPNorm, Up: &b.Up, Down: &b.Down,
		AttnScale: b.AttnScale, MLPScale: b.MLPScale}
	if c.Gated {
		half := func(from int64) *nn.Linear {
			return &nn.Linear{Weight: b.Up.Weight.Narrow(0, from, c.MLP), Bias: b.Up.Bias.Narrow(0, from, c.MLP)}
		}
		out.Gate, out.Up = half(0), half(c.MLP)
	}
	return out
}

// EncodeImage gives the features of normalized images x [B, 3, side, side], as Model.EncodeImage does: [B, C] in
// float32. An image's features do not depend on the others of its batch.
func (e *Encoder) EncodeImage(x *torch.Tensor) *torch.Tensor {
	e.Config.check(x)
	return nn.Chunks(x, chunk, e.device, func(x *torch.Tensor) *torch.Tensor {
		return e.norm.Forward(e.features(x).Select(1, 0).Contiguous(), torch.Float32)
	})
}

// Tokens gives all tokens behind the last norm, as Model.Tokens does: [B, T, C] in float32.
func (e *Encoder) Tokens(x *torch.Tensor) *torch.Tensor {
	e.Config.check(x)
	return nn.Chunks(
		x,
		chunk,
		e.device,
		func(x *torch.Tensor) *torch.Tensor { return e.norm.Forward(e.features(x), torch.Float32) },
	)
}

// features gives the tokens behind the last block, [B, T, C] in float32.
func (e *Encoder) features(x *torch.Tensor) *torch.Tensor {
	return e.stack.Forward(e.embed(x), func(i int, x *torch.Tensor) {
		if e.trace != nil {
			e.trace(fmt.Sprintf("blocks.%d", i), x)
		}
	})
}

// embed gives the tokens that enter the first block.
func (e *Encoder) embed(x *torch.Tensor) *torch.Tensor {
	if rows := x.Dim(3) / e.Config.PatchSize; rows != e.patches.Side() {
		torch.Scoped(func() { e.patches.Place(e.learned.positions(rows), rows) })
	}
	return e.patches.Forward(x)
}

// Free releases the tensors.
func (e *Encoder) Free() {
	e.patches.Free()
	e.stack.Free()
	e.norm.Free()
	if e.learned != nil {
		e.learned.Free()
	}
}
