package bert

import (
	"captioner/models/kvcache"
	"captioner/torch"
	"captioner/torch/nn"
)

// Head is what makes logits of hidden states: BERT's has a layer of its own before the words, GIT's has not.
type Head struct {
	Dense *nn.Linear    // [C, C], then the model's activation; nil without
	Norm  *nn.LayerNorm // behind Dense; nil without
	Words *torch.Tensor // [V, C]
	Bias  *torch.Tensor // [V], or nil
}

// Forward maps [..., C] to logits [..., V].
func (h *Head) Forward(x *torch.Tensor) *torch.Tensor {
	if h.Dense != nil {
		x = h.Norm.Forward(nn.GELU.Forward(h.Dense.Forward(x)))
	}
	return torch.Linear(x, h.Words, h.Bias)
}

// Decoder is a model prepared for generation: its weights laid out for few rows at a time. It holds its own tensors,
// of which the embeddings share the model's memory; later changes of the model do not reach it. Free releases it; the
// model may be freed before.
type Decoder struct {
	Config    Config
	dtype     torch.DType // between the products
	device    torch.Device
	fused     bool          // our own attention kernel: on CPU
	tokens    *torch.Tensor // [V, C] as it is stored
	positions *torch.Tensor // [positions, C] float32
	norm      nn.PackedNorm // of the embeddings
	layers    []layer
	head      head
	idle      kvcache.Idle[*Session]
}

type layer struct {
	qkv, out, up, down        nn.Packed
	selfNorm, norm            nn.PackedNorm
	crossKV, crossQ, crossOut nn.Packed // unset without a memory
	crossNorm                 nn.PackedNorm
}

// head is Head prepared.
type head struct {
	dense     nn.Packed
	norm      nn.PackedNorm
	words     nn.Packed
	transform bool
}

// Decoder prepares m and its output layer in type d: float32, or bfloat16 or int8 for the products alone (norms,
// softmax and the residual stream stay in float32).
func (m *Model) Decoder(h Head, d torch.DType) *Decoder {
	e := &m.Embeddings
	dec := &Decoder{Config: m.Config, dtype: nn.Activations(d), device: e.Words.Weight.Device()}
	dec.fused = dec.device == torch.CPU && (dec.dtype == torch.Float32 || dec.dtype == torch.BFloat16)
	torch.NoGrad(func() {
		torch.Scoped(func() {
			dec.tokens = e.Words.Weight.Detach().Keep()
			dec.positions = e.Positions.Weight.Detach().To(torch.Float32).Keep()
			dec.norm = nn.NewPackedNorm(&e.Norm)
			for i := range m.Layers {
				dec.layers = append(dec.layers, newLayer(&m.Layers[i], d))
			}
			if h.Dense != nil {
				dec.head.transform = true
				dec.head.dense = nn.NewPacked(h.Dense.Weight, h.Dense.Bias, torch.GELUErf, d)
				dec.head.norm = nn.NewPackedNorm(h.Norm)
			}
			dec.head.words = nn.NewPacked(h.Words, h.Bias, torch.NoActivation, d)
		})
	})
	return dec
}

func newLayer(l *Layer, d torch.DType) layer {
	pack := func(act torch.Activation, ls ...*nn.Linear) nn.Packed {
		if len(ls) == 1 {
			return nn.NewPacked(ls[0].Weight, ls[0].Bias, act, d)
		}
		var w, b []*torch.Tensor
		for _, l := range ls {
			w, b = append(w, l.Weight.Detach()), append(b, l.Bias.Detach())
		}
		joined := nn.NewPacked(torch.Cat(0, w...), torch.Cat(0, b...), act, d) // one product for all
		for _, l := range ls {
			l.Weight.Forget()
		}
		return joined
	}
	const none = torch.NoActivation
	s := &l.Self
	out := layer{qkv: pack(none, &s.Query, &s.Key, &s.Value), out: pack(none, &s.Out), selfNorm: nn.NewPackedNorm(&s.Norm),
		up: pack(torch.GELUErf, &l.Up), down: pack(none, &l.Down), norm: nn.NewPackedNorm(&l.Norm)}
	if c := l.Cross; c != nil {
		out.crossKV, out.crossQ = pack(none, &c.Key, &c.Value), pack(none, &c.Query)
		out.crossOut, out.crossNorm = pack(none, &c.Out), nn.NewPackedNorm(&c.Norm)
	}
	return out
}

// Free releases the tensors.
func (d *Decoder) Free() {
	d.idle.Drop()
	d.tokens.Free()
	d.positions.Free()
	d.norm.Free()
	d.head.dense.Free()
	d.head.words.Free()
	d.head.norm.Free()
	for i := range d.layers {
		d.layers[i].free()
	}
}

func (l *layer) free() {
	for _, n := range []*nn.PackedNorm{&l.selfNorm, &l.crossNorm, &l.norm} {
		n.Free()
	}
	for _, p := range []*nn.Packed{&l.qkv, &l.out, &l.crossKV, &l.crossQ, &l.crossOut, &l.up, &l.down} {
		p.Free()
	}
}
