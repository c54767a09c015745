package gpt2

import (
	"captioner/models/kvcache"
	"captioner/torch"
	"captioner/torch/nn"
)

// Decoder is a model prepared for generation: its weights laid out for few rows at a time. It holds its own tensors, of
// which the embeddings share the model's memory; later changes of the model do not reach it. Free releases it; the
// model may be freed before.
type Decoder struct {
	Config    Config
	dtype     torch.DType // between the products
	device    torch.Device
	fused     bool          // our own attention kernel: on CPU
	tokens    *torch.Tensor // [V, C] as it is stored
	positions *torch.Tensor // [n_positions, C] float32
	blocks    []decoderBlock
	norm      nn.PackedNorm
	head      nn.Packed
	idle      kvcache.Idle[*Session]
}

type decoderBlock struct {
	selfNorm, crossNorm, mlpNorm nn.PackedNorm // crossNorm is unset without cross-attention
	qkv, out, up, down           nn.Packed
	crossKV, crossQ, crossOut    nn.Packed // unset without
}

// Decoder prepares m in type d: float32, or bfloat16 or int8 for the products alone (norms, softmax and the residual
// stream stay in float32).
func (m *Model) Decoder(d torch.DType) *Decoder {
	t := &m.Transformer
	dec := &Decoder{Config: m.Config, dtype: nn.Activations(d), device: t.Tokens.Weight.Device()}
	dec.fused = dec.device == torch.CPU && (dec.dtype == torch.Float32 || dec.dtype == torch.BFloat16)
	act := torch.GELUErf
	if m.Config.Activation == "gelu_new" {
		act = torch.GELUTanh
	}
	torch.NoGrad(func() {
		torch.Scoped(func() {
			dec.tokens = t.Tokens.Weight.Detach().Keep()
			dec.positions = t.Positions.Weight.Detach().To(torch.Float32).Keep()
			dec.norm = nn.NewPackedNorm(&t.Norm)
			dec.head = nn.NewPacked(t.Tokens.Weight, nil, torch.NoActivation, d)
			for i := range t.Blocks {
				dec.blocks = append(dec.blocks, newDecoderBlock(&t.Blocks[i], act, d))
			}
		})
	})
	return dec
}

func newDecoderBlock(b *Block, act torch.Activation, d torch.DType) decoderBlock {
	conv1D := func(l *nn.Conv1D, act torch.Activation) nn.Packed {
		return nn.NewPacked(l.Weight.Transpose(0, 1), l.Bias, act, d) // [in, out] -> [out, in]
	}
	const none = torch.NoActivation
	out := decoderBlock{
		selfNorm: nn.NewPackedNorm(&b.SelfNorm),
		mlpNorm:  nn.NewPackedNorm(&b.MLPNorm),
		qkv:      conv1D(&b.Self.QKV, none),
		out:      conv1D(&b.Self.Out, none),
		up:       conv1D(&b.MLP.Up, act),
		down:     conv1D(&b.MLP.Down, none),
	}
	if b.Cross != nil {
		out.crossNorm = nn.NewPackedNorm(b.CrossNorm)
		out.crossKV, out.crossQ, out.crossOut = conv1D(
			&b.Cross.KV,
			none,
		), conv1D(
			&b.Cross.Q,
			none,
		), conv1D(
			&b.Cross.Out,
			none,
		)
	}
	return out
}

// Free releases the tensors.
func (d *Decoder) Free() {
	d.idle.Drop()
	d.tokens.Free()
	d.positions.Free()
	d.norm.Free()
	d.head.Free()
	for i := range d.blocks {
		b := &d.blocks[i]
		for _, n := range []*nn.PackedNorm{&b.selfNorm, &b.crossNorm, &b.mlpNorm} {
			n.Free()
		}
		for _, l := range []*nn.Packed{&b.qkv, &b.out, &b.crossKV, &b.crossQ, &b.crossOut, &b.up, &b.down} {
			l.Free()
		}
	}
}
