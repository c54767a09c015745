package beit

import (
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
	biases  biases
	norm    *nn.PackedNorm // nil with mean pooling
	pool    *nn.PackedNorm // nil for none

	positions *torch.Tensor // [1, 1+G G, C] in float32; nil for none
}

// chunk is how many images go through at once on the CPU.
const chunk = 8

// Encoder prepares m in type d, on the device of its weights: float32, or bfloat16 or int8 with norms, softmax and the
// residual stream in float32.
func (m *Model) Encoder(d torch.DType) *Encoder {
	c := m.Config
	e := &Encoder{Config: c, device: m.Class.Device(), norm: packed(m.Norm), pool: packed(m.PoolNorm)}
	torch.NoGrad(func() {
		torch.Scoped(func() {
			e.biases = m.biases()
			lead := m.Class.View(1, -1) // [1, C]
			if m.Positions != nil {
				e.positions = m.Positions.Detach().Move(e.device, torch.Float32, true).Keep()
				lead = lead.Add(e.positions.Select(0, 0).Narrow(0, 0, 1))
			}
			rows := max(1, c.Grid)
			e.patches = nn.NewPatches(&m.Patches, lead, e.placed(rows), rows, d)
			blocks := make([]nn.StackBlock, len(m.Blocks))
			for i := range m.Blocks {
				blocks[i] = m.Blocks[i].stacked()
			}
			e.stack = nn.NewStack(blocks, c.Heads, activations[c.Activation], d)
		})
	})
	return e
}

func packed(n *nn.LayerNorm) *nn.PackedNorm {
	if n == nil {
		return nil
	}
	p := nn.NewPackedNorm(n)
	return &p
}

// stacked is the block in the parts of a stack. Its keys get a bias of zeros.
func (b *Block) stacked() nn.StackBlock {
	noBias := torch.Zeros(b.Query.Bias.DType(), b.Query.Bias.Device(), b.Query.Bias.Shape()...)
	qkv := &nn.Linear{
		Weight: torch.Cat(0, b.Query.Weight, b.Key.Weight, b.Value.Weight).Detach(), // [3C, C]
		Bias:   torch.Cat(0, b.Query.Bias, noBias, b.Value.Bias).Detach(),
	}
	for _, l := range []*nn.Linear{&b.Query, &b.Key, &b.Value} {
		l.Weight.Forget()
	}
	return nn.StackBlock{
		AttnNorm: &b.AttnNorm, QKV: qkv, Out: &b.Out, AttnScale: b.AttnScale,
		MLPNorm: &b.MLPNorm, Up: &b.Up, Down: &b.Down, MLPScale: b.MLPScale,
	}
}

// Tokens gives all tokens of normalized images x [B, 3, side, side], the class token first: [B, T, C] in float32,
// Hugging Face's last_hidden_state. An image's tokens do not depend on the others of its batch.
func (e *Encoder) Tokens(x *torch.Tensor) *torch.Tensor {
	side := e.Config.PatchSize // the least
	if x.Rank() == 4 {
		side = max(side, x.Dim(3))
	}
	nn.CheckImages("beit", x, side)
	e.place(side / e.Config.PatchSize)
	return nn.Chunks(x, chunk, e.device, func(x *torch.Tensor) *torch.Tensor {
		x = e.patches.Forward(x)
		if e.Config.biased() {
			x = e.stack.ForwardBiased(x, e.biases.of)
		} else {
			x = e.stack.Forward(x, nil)
		}
		if e.norm != nil {
			x = e.norm.Forward(x, torch.Float32)
		}
		return x
	})
}

// Pooled gives one vector for an image, [B, C] in float32, Hugging Face's pooler_output: the class token, or with mean
// pooling the mean of the patches behind a norm of its own. Config.Shape says whether there is one.
func (e *Encoder) Pooled(x *torch.Tensor) *torch.Tensor {
	tokens := e.Tokens(x)
	if !e.Config.MeanPooling {
		return tokens.Select(1, 0).Contiguous()
	}
	return e.pool.Forward(tokens.Narrow(1, 1, tokens.Dim(1)-1).MeanDim(1, false), torch.Float32)
}

// place gets ready for images of rows x rows patches.
func (e *Encoder) place(rows int64) {
	torch.NoGrad(func() {
		torch.Scoped(func() {
			if rows != e.patches.Side() {
				e.patches.Place(e.placed(rows), rows)
			}
			e.biases.place(rows)
		})
	})
}

// placed is the positions of rows x rows patches, [P, C]: those that were learned, or between them; zeros where there
// are none.
func (e *Encoder) placed(rows int64) *torch.Tensor {
	width, grid := e.Config.Width, e.Config.Grid
	if e.positions == nil {
		return torch.Zeros(torch.Float32, e.device, rows*rows, width)
	}
	learned := e.positions.Select(0, 0).Narrow(0, 1, grid*grid) // [G G, C]
	if rows == grid {
		return learned
	}
	square := learned.View(1, grid, grid, width).Permute(0, 3, 1, 2) // [1, C, G, G]
	return square.Bicubic(rows, rows, false).Permute(0, 2, 3, 1).Reshape(rows*rows, width)
}

// Free releases the tensors.
func (e *Encoder) Free() {
	e.patches.Free()
	e.stack.Free()
	e.biases.free()
	e.positions.Free()
	for _, n := range []*nn.PackedNorm{e.norm, e.pool} {
		if n != nil {
			n.Free()
		}
	}
}
