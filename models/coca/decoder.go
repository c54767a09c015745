package coca

import (
	"captioner/models/clip"
	"captioner/torch"
	"captioner/torch/nn"
)

// Decoder is a model prepared for inference: its weights laid out for few rows at a time. It holds its own tensors, of
// which the embeddings share the model's memory. Free releases it; the model may be freed before.
//
// open_clip masks padding in its text tower with a mask that is one place off, and its weights were trained with that:
// no token sees the one behind a padding token, which is "!" where a caption has it. A Session does as it does.
type Decoder struct {
	Config    Config
	dtype     torch.DType // between the products
	device    torch.Device
	fused     bool // our own attention kernel: on CPU
	pool      pooler
	tokens    *torch.Tensor // [V, C] as it is stored
	positions *torch.Tensor // [Context+1, C] float32
	text      []block
	self      []block
	cross     []crossBlock
	norm      nn.PackedNorm
	words     nn.Packed
}

type pooler struct {
	query     *torch.Tensor // [Q-1, C]: normed and projected, without the one whose answer is for comparing
	imageNorm nn.PackedNorm
	kv, out   nn.Packed
	post      nn.PackedNorm
}

type block struct {
	norm, mlpNorm      nn.PackedNorm
	qkv, out, up, down nn.Packed
}

type crossBlock struct {
	norm, imageNorm, mlpNorm nn.PackedNorm
	q, kv, out, up, down     nn.Packed
}

// Decoder prepares m in type d: float32, or bfloat16 or int8 for the products alone (norms, softmax and the residual
// stream stay in float32).
func (m *Model) Decoder(d torch.DType) *Decoder {
	dec := &Decoder{Config: m.Config, dtype: nn.Activations(d), device: m.Tokens.Weight.Device()}
	dec.fused = dec.device == torch.CPU && (dec.dtype == torch.Float32 || dec.dtype == torch.BFloat16)
	torch.NoGrad(func() {
		torch.Scoped(func() {
			dec.pool = newPoolerOf(m, d)
			dec.tokens = m.Tokens.Weight.Detach().Keep()
			dec.positions = m.Positions.Detach().To(torch.Float32).Keep()
			for i := range m.Text.Blocks {
				dec.text = append(dec.text, newBlock(&m.Text.Blocks[i], d))
			}
			for i := range m.Self {
				dec.self = append(dec.self, newBlock(&m.Self[i], d))
				dec.cross = append(dec.cross, newCross(&m.Cross[i], d))
			}
			dec.norm = nn.NewPackedNorm(&m.Norm)
			dec.words = nn.NewPacked(m.Words.Transpose(0, 1), nil, torch.NoActivation, d)
		})
	})
	return dec
}

func newPoolerOf(m *Model, d torch.DType) pooler {
	p, c := &m.Pool, m.Config.Width
	q, kv := p.Attn.projections()
	bias := p.Attn.Bias.Detach()
	norm := nn.NewPackedNorm(&p.QueryNorm)
	defer norm.Free()
	x := norm.Forward(p.Query.Detach().Narrow(0, 1, p.Query.Dim(0)-1).To(torch.Float32), torch.Float32) // [Q-1, C]
	x = torch.Linear(x, q.To(torch.Float32), bias.Narrow(0, 0, c).To(torch.Float32))
	return pooler{
		query:     x.Keep(),
		imageNorm: nn.NewPackedNorm(&p.ImageNorm),
		kv:        nn.NewPacked(kv, bias.Narrow(0, c, 2*c), torch.NoActivation, d),
		out:       nn.NewPacked(p.Attn.Out.Weight, p.Attn.Out.Bias, torch.NoActivation, d),
		post:      nn.NewPackedNorm(&m.Post),
	}
}

func newBlock(b *clip.Block, d torch.DType) block {
	return block{
		norm: nn.NewPackedNorm(&b.AttnNorm), mlpNorm: nn.NewPackedNorm(&b.MLPNorm),
		qkv:  nn.NewPacked(b.Attn.QKVWeight, b.Attn.QKVBias, torch.NoActivation, d),
		out:  nn.NewPacked(b.Attn.Out.Weight, b.Attn.Out.Bias, torch.NoActivation, d),
		up:   nn.NewPacked(b.MLP.Up.Weight, b.MLP.Up.Bias, torch.GELUErf, d),
		down: nn.NewPacked(b.MLP.Down.Weight, b.MLP.Down.Bias, torch.NoActivation, d),
	}
}

func newCross(b *Cross, d torch.DType) crossBlock {
	w, bias := b.Attn.QKVWeight.Detach(), b.Attn.QKVBias.Detach()
	c := w.Dim(1)
	return crossBlock{
		norm: nn.NewPackedNorm(&b.AttnNorm), imageNorm: nn.NewPackedNorm(&b.ImageNorm), mlpNorm: nn.NewPackedNorm(&b.MLPNorm),
		q:    nn.NewPacked(w.Narrow(0, 0, c), bias.Narrow(0, 0, c), torch.NoActivation, d),
		kv:   nn.NewPacked(w.Narrow(0, c, 2*c), bias.Narrow(0, c, 2*c), torch.NoActivation, d),
		out:  nn.NewPacked(b.Attn.Out.Weight, b.Attn.Out.Bias, torch.NoActivation, d),
		up:   nn.NewPacked(b.MLP.Up.Weight, b.MLP.Up.Bias, torch.GELUErf, d),
		down: nn.NewPacked(b.MLP.Down.Weight, b.MLP.Down.Bias, torch.NoActivation, d),
	}
}

// Pool gives what the text looks at of images, from the tokens behind the image tower's last block [B, P, image]: [B,
// Q-1, C] in float32. An image's answer does not depend on the others of its batch.
func (d *Decoder) Pool(tokens *torch.Tensor) *torch.Tensor {
	b, p, c, heads := tokens.Dim(0), tokens.Dim(1), d.Config.Width, d.Config.Pooler
	kv := d.pool.kv.ForwardFloat32(tokens, &d.pool.imageNorm, nil) // [B, P, 2C]
	kv = kv.View(b, p, 2, heads, c/heads).Permute(2, 0, 3, 1, 4)   // [2, B, H, P, D]
	n := d.pool.query.Dim(0)
	q := d.pool.query.To(d.dtype).Unsqueeze(0).Expand(b, n, c).Reshape(b*n, heads, c/heads) // [B Q-1, H, D]
	x := d.attend(q, kv)                                                                    // [B Q-1, C]
	return d.pool.post.Forward(d.pool.out.ForwardFloat32(x, nil, nil), torch.Float32).View(b, n, c)
}

// Free releases the tensors.
func (d *Decoder) Free() {
	d.pool.query.Free()
	d.pool.imageNorm.Free()
	d.pool.kv.Free()
	d.pool.out.Free()
	d.pool.post.Free()
	d.tokens.Free()
	d.positions.Free()
	for _, blocks := range [][]block{d.text, d.self} {
		for i := range blocks {
			b := &blocks[i]
			free([]*nn.PackedNorm{&b.norm, &b.mlpNorm}, []*nn.Packed{&b.qkv, &b.out, &b.up, &b.down})
		}
	}
	for i := range d.cross {
		b := &d.cross[i]
		free([]*nn.PackedNorm{&b.norm, &b.imageNorm, &b.mlpNorm}, []*nn.Packed{&b.q, &b.kv, &b.out, &b.up, &b.down})
	}
	d.norm.Free()
	d.words.Free()
}

func free(norms []*nn.PackedNorm, products []*nn.Packed) {
	for _, n := range norms {
		n.Free()
	}
	for _, p := range products {
		p.Free()
	}
}
