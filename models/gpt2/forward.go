package gpt2

import (
	"fmt"

	"captioner/models/batch"
	"captioner/torch"
	"captioner/torch/nn"
)

// Forward gives the logits [N, V] of every token of the batch. memory [G, P, C] is one per image, G dividing b.Rows;
// nil leaves the cross-attention out, as Hugging Face does. train turns dropout on.
func (m *Model) Forward(b *batch.Texts, memory *torch.Tensor, train bool) *torch.Tensor {
	return m.Logits(m.Hidden(b, memory, train))
}

// Logits maps hidden states [N, C] to [N, V] through the token embedding.
func (m *Model) Logits(hidden *torch.Tensor) *torch.Tensor {
	return torch.Linear(hidden, m.Transformer.Tokens.Weight, nil)
}

// Hidden gives what the last norm gives, [N, C].
func (m *Model) Hidden(b *batch.Texts, memory *torch.Tensor, train bool) *torch.Tensor {
	p := &pass{Model: m, batch: b, train: train}
	m.check(b, memory)
	t := &m.Transformer
	x := t.Tokens.Forward(b.Tokens).Add(t.Positions.Forward(b.Positions)) // [N, C]
	x = p.drop(x, m.Config.EmbeddingDrop)
	p.see("embeddings", x)
	for i := range t.Blocks {
		p.name = fmt.Sprintf("h.%d", i)
		x = t.Blocks[i].forward(p, x, memory)
		p.see(p.name, x)
	}
	x = t.Norm.Forward(x)
	p.see("ln_f", x)
	return x
}

func (m *Model) check(b *batch.Texts, memory *torch.Tensor) {
	if b.Len > m.Config.Positions {
		torch.Fail("gpt2", "text of %d tokens, want at most n_positions %d", b.Len, m.Config.Positions)
	}
	if memory == nil {
		return
	}
	if !m.Config.CrossAttention {
		torch.Fail("gpt2", "memory for a model without cross-attention")
	}
	s := memory.Shape()
	if len(s) != 3 || s[2] != m.Config.Width || s[0] == 0 || b.Rows%s[0] != 0 {
		const message = "memory of shape %v for %d rows, want [images dividing the rows, positions, %d]"
		torch.Fail("gpt2", message, s, b.Rows, m.Config.Width)
	}
}

// pass is one run through the network.
type pass struct {
	*Model
	batch *batch.Texts
	train bool
	mask  *torch.Tensor // added to the self-attention's scores, [T, T] or [B, 1, T, T]
	name  string        // of the block, for trace
}

func (p *pass) see(name string, t *torch.Tensor) {
	if p.trace != nil {
		p.trace(name, t)
	}
}

func (p *pass) drop(x *torch.Tensor, probability float64) *torch.Tensor {
	if !p.train {
		return x
	}
	return x.Dropout(probability)
}

func (b *Block) forward(p *pass, x, memory *torch.Tensor) *torch.Tensor {
	h := b.SelfNorm.Forward(x)
	p.see(p.name+".ln_1", h)
	h = p.drop(b.Self.forward(p, h), p.Config.ResidualDrop)
	p.see(p.name+".attn", h)
	x = x.Add(h)
	if memory != nil {
		h = b.CrossNorm.Forward(x)
		p.see(p.name+".ln_cross_attn", h)
		h = p.drop(b.Cross.forward(p, h, memory), p.Config.ResidualDrop)
		p.see(p.name+".crossattention", h)
		x = x.Add(h)
	}
	h = b.MLPNorm.Forward(x)
	p.see(p.name+".ln_2", h)
	h = b.MLP.Up.Forward(h).GELU(p.Config.Activation == "gelu_new") // [N, inner]
	h = p.drop(b.MLP.Down.Forward(h), p.Config.ResidualDrop)
	p.see(p.name+".mlp", h)
	return x.Add(h)
}

func (a *SelfAttention) forward(p *pass, x *torch.Tensor) *torch.Tensor {
	rows, length, heads, size := p.batch.Rows, p.batch.Len, p.Config.Heads, p.Config.headSize()
	qkv := p.batch.Padded(a.QKV.Forward(x)).View(rows, length, 3, heads, size)                   // [B T, 3C]
	qkv = qkv.Permute(2, 0, 3, 1, 4)                                                             // [3, B, H, T, D]
	y := p.attend(qkv.Select(0, 0), qkv.Select(0, 1), qkv.Select(0, 2), p.causal)                // [B, H, T, D]
	return a.Out.Forward(p.batch.Packed(y.Transpose(1, 2).Reshape(rows*length, p.Config.Width))) // [N, C]
}

func (a *CrossAttention) forward(p *pass, x, memory *torch.Tensor) *torch.Tensor {
	heads, size := p.Config.Heads, p.Config.headSize()
	images, positions := memory.Dim(0), memory.Dim(1)
	all := p.batch.Rows * p.batch.Len
	kv := a.KV.Forward(memory).View(images, positions, 2, heads, size).Permute(2, 0, 3, 1, 4) // [2, G, H, P, D]
	// The captions of an image share its keys: [G, H, B/G T, D].
	q := p.batch.Padded(a.Q.Forward(x)).View(images, all/images, heads, size).Transpose(1, 2)
	y := p.attend(q, kv.Select(0, 0), kv.Select(0, 1), nil)                              // [G, H, B/G T, D]
	return a.Out.Forward(p.batch.Packed(y.Transpose(1, 2).Reshape(all, p.Config.Width))) // [N, C]
}

func (p *pass) attend(q, k, v *torch.Tensor, mask func(torch.DType) *torch.Tensor) *torch.Tensor {
	drop := func(w *torch.Tensor) *torch.Tensor { return p.drop(w, p.Config.AttentionDrop) }
	return nn.AttendDropped(q, k, v, mask, drop)
}

// causal is the mask of the batch in type d, made once a pass.
func (p *pass) causal(d torch.DType) *torch.Tensor {
	if p.mask == nil || p.mask.DType() != d {
		p.mask = p.batch.Causal(d)
	}
	return p.mask
}
