package gpt2

import (
	"fmt"

	"captioner/models/batch"
	"captioner/torch"
	"captioner/torch/nn"
)

// Forward gives the logits [N, V] of every token of the batch that has a target. memory [G, P, C] is one per image, G
// dividing b.Rows; nil leaves the cross-attention out, as Hugging Face does. train turns dropout on.
func (m *Model) Forward(b *batch.Texts, memory *torch.Tensor, train bool) *torch.Tensor {
	return m.Logits(b.Asked(m.Hidden(b, memory, train)))
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
	p.fused = torch.Fuses(x)
	p.see("embeddings", x)
	return p.through(x, memory)
}

// through takes embeddings x through the blocks and the last norm.
func (p *pass) through(x, memory *torch.Tensor) *torch.Tensor {
	t := &p.Transformer
	h := t.Blocks[0].SelfNorm.Forward(x)
	for i := range t.Blocks {
		p.name = fmt.Sprintf("h.%d", i)
		next := &t.Norm
		if i+1 < len(t.Blocks) {
			next = &t.Blocks[i+1].SelfNorm
		}
		x, h = t.Blocks[i].forward(p, x, h, memory, next)
		p.see(p.name, x)
	}
	p.see("ln_f", h)
	return h
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
	fused bool          // what stands between products has kernels of its own
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

// dropout is the probability of a dropout in this pass.
func (p *pass) dropout(probability float64) float64 {
	if !p.train {
		return 0
	}
	return probability
}

// add adds what a layer gave, h, to the stream x, and gives both the sum and norm of it.
func (p *pass) add(x, h *torch.Tensor, norm *nn.LayerNorm) (sum, normed *torch.Tensor) {
	if p.fused {
		return torch.AddNorm(x, h, p.dropout(p.Config.ResidualDrop), norm.Weight, norm.Bias, norm.Eps)
	}
	sum = x.Add(p.drop(h, p.Config.ResidualDrop))
	return sum, norm.Forward(sum)
}

// forward takes the stream x and SelfNorm of it, h, and gives the same for the block after it, whose first norm is
// next.
func (b *Block) forward(p *pass, x, h, memory *torch.Tensor, next *nn.LayerNorm) (sum, normed *torch.Tensor) {
	p.see(p.name+".ln_1", h)
	h = b.Self.forward(p, h)
	p.see(p.name+".attn", h)
	if memory != nil {
		x, h = p.add(x, h, b.CrossNorm)
		p.see(p.name+".ln_cross_attn", h)
		h = b.Cross.forward(p, h, memory, b.CrossNorm)
		p.see(p.name+".crossattention", h)
	}
	x, h = p.add(x, h, &b.MLPNorm)
	p.see(p.name+".ln_2", h)
	h = b.MLP.Down.Forward(b.MLP.Up.Forward(h).GELU(p.Config.Activation == "gelu_new")) // [N, C]
	p.see(p.name+".mlp", h)
	return p.add(x, h, next)
}

func (a *SelfAttention) forward(p *pass, x *torch.Tensor) *torch.Tensor {
	b, heads, size := p.batch, p.Config.Heads, p.Config.headSize()
	qkv := b.Whole(a.QKV.Forward(x)) // [N, 3C]
	if p.fused {
		texts := torch.Texts{Starts: b.Starts, Length: b.Len, Seen: b.Mask}
		return a.Out.Forward(b.Firsts(torch.CausalAttention(qkv, texts, heads, p.dropout(p.Config.AttentionDrop))))
	}
	qkv = b.Padded(qkv).View(b.Rows, b.Len, 3, heads, size).Permute(2, 0, 3, 1, 4) // [3, B, H, T, D]
	y := p.attend(qkv.Select(0, 0), qkv.Select(0, 1), qkv.Select(0, 2), p.causal)  // [B, H, T, D]
	y = b.Packed(y.Transpose(1, 2).Reshape(b.Rows*b.Len, p.Config.Width))
	return a.Out.Forward(b.Firsts(y)) // [N, C]
}

func (a *CrossAttention) forward(p *pass, x, memory *torch.Tensor, norm *nn.LayerNorm) *torch.Tensor {
	if memory.Dim(1) == 1 { // the gradients of what makes the queries are 0
		return a.single(p, memory).ZeroGradients(a.Q.Weight, a.Q.Bias, norm.Weight, norm.Bias)
	}
	heads, size := p.Config.Heads, p.Config.headSize()
	images, positions := memory.Dim(0), memory.Dim(1)
	kv, q := a.KV.Forward(memory), a.Q.Forward(x) // [G, P, 2C] and [N, C]
	if p.fused {
		starts := p.batch.Images(images)
		return a.Out.Forward(torch.CrossAttention(q, kv, starts, heads, p.dropout(p.Config.AttentionDrop)))
	}
	all := p.batch.Rows * p.batch.Len
	kv = kv.View(images, positions, 2, heads, size).Permute(2, 0, 3, 1, 4) // [2, G, H, P, D]
	// The captions of an image share its keys: [G, H, B/G T, D].
	q = p.batch.Padded(p.batch.Whole(q)).View(images, all/images, heads, size).Transpose(1, 2)
	y := p.attend(q, kv.Select(0, 0), kv.Select(0, 1), nil) // [G, H, B/G T, D]
	y = p.batch.Packed(y.Transpose(1, 2).Reshape(all, p.Config.Width))
	return a.Out.Forward(p.batch.Firsts(y)) // [N, C]
}

// single is forward for a memory of one position: the softmax over it is 1, so that the text asks for nothing, and each
// head gives its value, or nothing where dropout takes its weight. A head's value goes through its part of Out once an
// image instead of once a token.
func (a *CrossAttention) single(p *pass, memory *torch.Tensor) *torch.Tensor {
	heads, size, width := p.Config.Heads, p.Config.headSize(), p.Config.Width
	images, all := memory.Dim(0), p.batch.Rows*p.batch.Len
	value := a.KV.Forward(memory).Narrow(2, width, width) // [G, 1, C]
	drop := p.dropout(p.Config.AttentionDrop)
	var y *torch.Tensor
	if drop == 0 {
		y = a.Out.Forward(value).Expand(images, all/images, width) // [G, B/G T, C]
	} else {
		out := a.Out.Weight.View(heads, size, width)
		of := value.View(images, heads, size).Transpose(0, 1).Matmul(out).Transpose(0, 1) // [G, H, C]
		ones := torch.Full(1, of.DType(), of.Device(), images, heads, all/images, 1)
		keep := ones.Dropout(drop).Select(3, 0).Transpose(1, 2) // [G, B/G T, H]
		y = keep.Matmul(of).Add(a.Out.Bias)                     // [G, B/G T, C]
	}
	return p.batch.Firsts(p.batch.Packed(y.Reshape(all, width))) // [N, C]
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
