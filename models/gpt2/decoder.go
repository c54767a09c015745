package gpt2

import (
	"captioner/torch"
	"captioner/torch/nn"
)

// Decoder is a model prepared for generation: its weights laid out for few rows at a time. It holds its own tensors, of which the embeddings
// share the model's memory; later changes of the model do not reach it. Free releases it; the model may be freed before.
type Decoder struct {
	Config    Config
	dtype     torch.DType
	device    torch.Device
	fused     bool          // packed products and our own attention kernel: on CPU
	tokens    *torch.Tensor // [V, C] float32
	positions *torch.Tensor // [n_positions, C] float32
	blocks    []decoderBlock
	norm      norm
	head      linear
}

type decoderBlock struct {
	selfNorm, crossNorm, mlpNorm norm
	qkv, out                     linear
	crossKV, crossQ, crossOut    linear // unset without cross-attention
	up, down                     linear
}

// linear is x W + b in the decoder's type, then perhaps the activation.
type linear struct {
	weight, bias *torch.Tensor // weight [out, in], packed on CPU
	packed       bool
	act          torch.Activation
}

type norm struct {
	weight, bias *torch.Tensor
	eps          float64
}

// Decoder prepares m in type d: float32, or bfloat16 for the products alone (norms, softmax and the residual stream stay in float32).
func (m *Model) Decoder(d torch.DType) *Decoder {
	t := &m.Transformer
	dec := &Decoder{Config: m.Config, dtype: d, device: t.Tokens.Weight.Device()}
	dec.fused = dec.device == torch.CPU && (d == torch.Float32 || d == torch.BFloat16)
	act := torch.GELUErf
	if m.Config.Activation == "gelu_new" {
		act = torch.GELUTanh
	}
	torch.NoGrad(func() {
		torch.Scoped(func() {
			dec.tokens = t.Tokens.Weight.Detach().To(torch.Float32).Keep()
			dec.positions = t.Positions.Weight.Detach().To(torch.Float32).Keep()
			dec.norm = dec.newNorm(&t.Norm)
			dec.head = dec.newLinear(t.Tokens.Weight, nil, torch.NoActivation)
			for i := range t.Blocks {
				b := &t.Blocks[i]
				out := decoderBlock{selfNorm: dec.newNorm(&b.SelfNorm), mlpNorm: dec.newNorm(&b.MLPNorm), qkv: dec.conv1D(&b.Self.QKV),
					out: dec.conv1D(&b.Self.Out), up: dec.conv1D(&b.MLP.Up), down: dec.conv1D(&b.MLP.Down)}
				out.up.act = act
				if b.Cross != nil {
					out.crossNorm = dec.newNorm(b.CrossNorm)
					out.crossKV, out.crossQ, out.crossOut = dec.conv1D(&b.Cross.KV), dec.conv1D(&b.Cross.Q), dec.conv1D(&b.Cross.Out)
				}
				dec.blocks = append(dec.blocks, out)
			}
		})
	})
	return dec
}

func (d *Decoder) newNorm(n *nn.LayerNorm) norm {
	return norm{n.Weight.Detach().To(torch.Float32).Keep(), n.Bias.Detach().To(torch.Float32).Keep(), n.Eps}
}

func (d *Decoder) conv1D(l *nn.Conv1D) linear {
	return d.newLinear(l.Weight.Transpose(0, 1), l.Bias, torch.NoActivation) // [in, out] -> [out, in]
}

func (d *Decoder) newLinear(weight, bias *torch.Tensor, act torch.Activation) linear {
	l := linear{act: act, packed: d.fused}
	w := weight.Detach().To(d.dtype).Contiguous()
	if l.packed {
		w = torch.PackLinear(w)
	}
	l.weight = w.Keep()
	if bias != nil {
		l.bias = bias.Detach().To(d.dtype).Keep()
	}
	return l
}

func (l *linear) forward(x *torch.Tensor) *torch.Tensor {
	if l.packed {
		return torch.PackedLinear(x, l.weight, l.bias, l.act)
	}
	y := torch.Linear(x, l.weight, l.bias)
	switch l.act {
	case torch.GELUTanh:
		y = y.GELU(true)
	case torch.GELUErf:
		y = y.GELU(false)
	}
	return y
}

// forward gives x normalised, in the type that the products want.
func (n *norm) forward(x *torch.Tensor, d torch.DType) *torch.Tensor {
	y := torch.LayerNorm(x, []int64{x.Dim(-1)}, n.weight, n.bias, n.eps)
	if d != torch.Float32 {
		y = y.To(d)
	}
	return y
}

// Free releases the tensors.
func (d *Decoder) Free() {
	freeNorm := func(n norm) { n.weight.Free(); n.bias.Free() }
	freeLinear := func(l linear) { l.weight.Free(); l.bias.Free() }
	d.tokens.Free()
	d.positions.Free()
	freeNorm(d.norm)
	freeLinear(d.head)
	for _, b := range d.blocks {
		for _, n := range []norm{b.selfNorm, b.crossNorm, b.mlpNorm} {
			freeNorm(n)
		}
		for _, l := range []linear{b.qkv, b.out, b.crossKV, b.crossQ, b.crossOut, b.up, b.down} {
			freeLinear(l)
		}
	}
}
