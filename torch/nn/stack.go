package nn

import "captioner/torch"

// StackBlock is one pre-norm block of a transformer as its model holds it: x + Out(attention(QKV(AttnNorm x))), then
// x + Down(activation(Up(MLPNorm x))).
type StackBlock struct {
	AttnNorm, MLPNorm  *LayerNorm
	QKV, Out, Up, Down *Linear // QKV [3C, C]: queries, keys, values

	// Gate makes the MLP Down(SiLU(Gate x) Up x), which is SwiGLU (Shazeer 2020); nil for none.
	Gate *Linear
	// AttnScale and MLPScale [C] multiply what attention and MLP add to x (Touvron et al. 2021); nil for none.
	AttnScale, MLPScale *torch.Tensor
}

// Stack is a run of such blocks without a mask, prepared for inference: weights in one type, packed on CPU, activations
// fused. It holds its own tensors; the blocks that it was made of may go first. Free releases it.
type Stack struct {
	heads  int64
	blocks []stackBlock
}

type stackBlock struct {
	attnNorm, mlpNorm  PackedNorm
	qkv, out, up, down Packed
	gate               *Packed // nil for none
}

// NewStack prepares blocks in type d: float32, or bfloat16 or int8 for the products alone (norms, softmax and the
// residual stream stay in float32).
//
// QuickGELU has no fused kernel, but x sigmoid(x) has one, and QuickGELU(x) is SiLU(1.702 x)/1.702: the factors go into
// the weights, and so do those of a layer scale.
func NewStack(blocks []StackBlock, heads int64, act Activation, d torch.DType) *Stack {
	s := &Stack{heads: heads}
	for _, b := range blocks {
		s.blocks = append(s.blocks, newStackBlock(b, act, d))
	}
	return s
}

func newStackBlock(b StackBlock, act Activation, d torch.DType) stackBlock {
	pack := func(l *Linear, act torch.Activation) Packed { return NewPackedFor(Encoder, l.Weight, l.Bias, act, d) }
	out := stackBlock{attnNorm: NewPackedNorm(b.AttnNorm), mlpNorm: NewPackedNorm(b.MLPNorm)}
	torch.Scoped(func() {
		out.qkv = pack(b.QKV, torch.NoActivation)
		out.out = pack(b.Out.scaledBy(b.AttnScale), torch.NoActivation)
		switch {
		case b.Gate != nil:
			gate := pack(b.Gate, torch.SiLU)
			out.gate, out.up = &gate, pack(b.Up, torch.NoActivation)
			out.down = pack(b.Down.scaledBy(b.MLPScale), torch.NoActivation)
		case act == QuickGELU:
			out.up = NewPackedFor(Encoder, scaled(b.Up.Weight, quick), scaled(b.Up.Bias, quick), torch.SiLU, d)
			down := Linear{scaled(b.Down.Weight, 1/quick), b.Down.Bias}
			out.down = pack(down.scaledBy(b.MLPScale), torch.NoActivation)
			b.Up.Weight.Forget()
			b.Down.Weight.Forget()
		default:
			out.up = pack(b.Up, act.fused())
			out.down = pack(b.Down.scaledBy(b.MLPScale), torch.NoActivation)
		}
	})
	return out
}

// scaled is x times a number, in float32 whatever x is stored in.
func scaled(x *torch.Tensor, by float64) *torch.Tensor {
	return x.Detach().To(torch.Float32).MulScalar(by)
}

// scaledBy is the layer with its results times by [out], which nil leaves as they are.
func (l *Linear) scaledBy(by *torch.Tensor) *Linear {
	if by == nil {
		return l
	}
	by = by.Detach().To(torch.Float32)
	out := &Linear{Weight: l.Weight.Detach().To(torch.Float32).Mul(by.Unsqueeze(1))} // [out, in] * [out, 1]
	if l.Bias != nil {
		out.Bias = l.Bias.Detach().To(torch.Float32).Mul(by)
	}
	l.Weight.Forget()
	return out
}

// Forward maps x [B, T, C] (float32) to the same shape. visit, if not nil, is told what each block gives.
func (s *Stack) Forward(x *torch.Tensor, visit func(block int, x *torch.Tensor)) *torch.Tensor {
	for i := range s.blocks {
		x = torch.Tidy1(func() *torch.Tensor { return s.block(&s.blocks[i], x, nil) })
		if visit != nil {
			visit(i, x)
		}
	}
	return x
}

// ForwardBiased is Forward with a bias [1, H, T, T] in float32 for each block, added to the logits of its attention.
func (s *Stack) ForwardBiased(x *torch.Tensor, bias func(block int) *torch.Tensor) *torch.Tensor {
	for i := range s.blocks {
		x = torch.Tidy1(func() *torch.Tensor { return s.block(&s.blocks[i], x, bias(i)) })
	}
	return x
}

// First is the stack of the first n blocks. It shares the tensors of s, which alone is to be freed.
func (s *Stack) First(n int) *Stack {
	return &Stack{heads: s.heads, blocks: s.blocks[:n]}
}

// block maps [B, T, C] to the same shape. bias is of HeadAttention.
func (s *Stack) block(b *stackBlock, x, bias *torch.Tensor) *torch.Tensor {
	x = b.out.ForwardFloat32(HeadAttention(b.qkv.Forward(x, &b.attnNorm), s.heads, bias), nil, x)
	up := b.up.Forward(x, &b.mlpNorm)
	if b.gate != nil {
		up = b.gate.Forward(x, &b.mlpNorm).Mul(up)
	}
	return b.down.ForwardFloat32(up, nil, x)
}

// Free releases the tensors.
func (s *Stack) Free() {
	for i := range s.blocks {
		b := &s.blocks[i]
		b.attnNorm.Free()
		b.mlpNorm.Free()
		for _, l := range []*Packed{&b.qkv, &b.out, &b.up, &b.down} {
			l.Free()
		}
		if b.gate != nil {
			b.gate.Free()
		}
	}
}
