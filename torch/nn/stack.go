package nn

import "captioner/torch"

// StackBlock is one pre-norm block of a transformer as its model holds it: x + Out(attention(QKV(AttnNorm x))), then
// x + Down(activation(Up(MLPNorm x))).
type StackBlock struct {
	AttnNorm, MLPNorm  *LayerNorm
	QKV, Out, Up, Down *Linear // QKV [3C, C]: queries, keys, values
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
}

// NewStack prepares blocks in type d: float32, or bfloat16 or int8 for the products alone (norms, softmax and the
// residual stream stay in float32).
//
// QuickGELU has no fused kernel, but x sigmoid(x) has one, and QuickGELU(x) is SiLU(1.702 x)/1.702: the factors go into
// the weights.
func NewStack(blocks []StackBlock, heads int64, act Activation, d torch.DType) *Stack {
	s := &Stack{heads: heads}
	for _, b := range blocks {
		out := stackBlock{attnNorm: NewPackedNorm(b.AttnNorm), mlpNorm: NewPackedNorm(b.MLPNorm),
			qkv: newPacked(b.QKV.Weight, b.QKV.Bias, torch.NoActivation, d, Encoder),
			out: newPacked(b.Out.Weight, b.Out.Bias, torch.NoActivation, d, Encoder)}
		torch.Scoped(func() {
			if act == QuickGELU {
				out.up = newPacked(scaled(b.Up.Weight, quick), scaled(b.Up.Bias, quick), torch.SiLU, d, Encoder)
				out.down = newPacked(scaled(b.Down.Weight, 1/quick), b.Down.Bias, torch.NoActivation, d, Encoder)
				b.Up.Weight.Forget()
				b.Down.Weight.Forget()
				return
			}
			fused := torch.GELUErf
			if act == ReLU {
				fused = torch.ReLU
			}
			out.up = newPacked(b.Up.Weight, b.Up.Bias, fused, d, Encoder)
			out.down = newPacked(b.Down.Weight, b.Down.Bias, torch.NoActivation, d, Encoder)
		})
		s.blocks = append(s.blocks, out)
	}
	return s
}

// scaled is x times a number, in float32 whatever x is stored in.
func scaled(x *torch.Tensor, by float64) *torch.Tensor {
	return x.Detach().To(torch.Float32).MulScalar(by)
}

// Forward maps x [B, T, C] (float32) to the same shape. visit, if not nil, is told what each block gives.
func (s *Stack) Forward(x *torch.Tensor, visit func(block int, x *torch.Tensor)) *torch.Tensor {
	for i := range s.blocks {
		x = torch.Tidy1(func() *torch.Tensor { return s.block(&s.blocks[i], x) })
		if visit != nil {
			visit(i, x)
		}
	}
	return x
}

// First is the stack of the first n blocks. It shares the tensors of s, which alone is to be freed.
func (s *Stack) First(n int) *Stack {
	return &Stack{heads: s.heads, blocks: s.blocks[:n]}
}

func (s *Stack) block(b *stackBlock, x *torch.Tensor) *torch.Tensor {
	x = b.out.ForwardFloat32(HeadAttention(b.qkv.Forward(x, &b.attnNorm), s.heads), nil, x)
	return b.down.ForwardFloat32(b.up.Forward(x, &b.mlpNorm), nil, x)
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
	}
}
