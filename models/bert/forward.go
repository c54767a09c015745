package bert

import (
	"fmt"

	"captioner/models/batch"
	"captioner/torch"
	"captioner/torch/nn"
)

// Dropout is the probabilities with which numbers are dropped while a model learns, 0 to less than 1, in the names of
// Hugging Face's config.json. The zero value drops nothing.
type Dropout struct {
	Hidden    float64 `json:"hidden_dropout_prob,omitempty"`          // of embeddings, and of what each part adds
	Attention float64 `json:"attention_probs_dropout_prob,omitempty"` // of the weights of an attention
}

// Forward runs the layers on x [B, T, C]. memory [B, P, M] is what cross-attention looks at, or nil; mask [T, T] is
// added to the scores of self-attention; nil is none.
func (m *Model) Forward(x, memory, mask *torch.Tensor) *torch.Tensor {
	p := &pass{Model: m, rows: x.Dim(0)}
	if mask != nil {
		p.mask = func(torch.DType) *torch.Tensor { return mask }
	}
	return p.layers(x, memory)
}

// Hidden gives the hidden states [N, C] of every token of a batch. memory [G, P, M] is one per image, G dividing
// b.Rows, so that the texts of an image share its keys and values; nil leaves the cross-attention out.
func (m *Model) Hidden(b *batch.Texts, memory *torch.Tensor, d Dropout) *torch.Tensor {
	m.check(b, memory)
	p := &pass{Model: m, rows: b.Rows, texts: b, dropout: d}
	p.mask = p.causal
	e := &m.Embeddings
	x := e.Norm.Forward(e.Words.Forward(b.Tokens).Add(e.Positions.Forward(b.Positions))) // [N, C]
	return p.layers(x.Dropout(d.Hidden), memory)
}

func (m *Model) check(b *batch.Texts, memory *torch.Tensor) {
	if b.Len > m.Config.Positions {
		torch.Fail("bert", "text of %d tokens, want at most max_position_embeddings %d", b.Len, m.Config.Positions)
	}
	if memory == nil {
		return
	}
	s := memory.Shape()
	if len(s) != 3 || s[2] != m.Config.Memory || s[0] == 0 || b.Rows%s[0] != 0 {
		const message = "memory of shape %v for %d rows, want [images dividing the rows, positions, %d]"
		torch.Fail("bert", message, s, b.Rows, m.Config.Memory)
	}
}

// pass is one run through the layers: of rows as they are, x [B, T, C], or of the tokens of a batch, x [N, C].
type pass struct {
	*Model
	rows    int64        // B
	texts   *batch.Texts // nil: rows as they are
	dropout Dropout
	mask    func(torch.DType) *torch.Tensor // of self-attention
	made    *torch.Tensor                   // what causal gave last
}

func (p *pass) layers(x, memory *torch.Tensor) *torch.Tensor {
	for i := range p.Layers {
		l, name := &p.Layers[i], fmt.Sprintf("layer.%d", i)
		x = l.Self.forward(p, x, p.padded(l.Self.Key.Forward(x)), p.padded(l.Self.Value.Forward(x)), p.rows, p.mask)
		p.see(name+".attention", x)
		if l.Cross != nil && memory != nil {
			x = l.Cross.forward(p, x, l.Cross.Key.Forward(memory), l.Cross.Value.Forward(memory), memory.Dim(0), nil)
			p.see(name+".crossattention", x)
		}
		up := p.Config.activation().Forward(l.Up.Forward(x)) // [..., inner]
		x = l.Norm.Forward(l.Down.Forward(up).Dropout(p.dropout.Hidden).Add(x))
		p.see(name, x)
	}
	return x
}

// forward looks from x at keys and values, each [groups S, C] in any shape: those of each row for itself, or of an
// image for its texts. It gives the shape of x.
func (a *Attention) forward(
	p *pass, x, keys, values *torch.Tensor, groups int64, mask func(torch.DType) *torch.Tensor,
) *torch.Tensor {
	split := func(t *torch.Tensor) *torch.Tensor { // -> [groups, H, S, D]
		return t.Reshape(groups, -1, p.Config.Heads, p.Config.headSize()).Transpose(1, 2)
	}
	drop := func(w *torch.Tensor) *torch.Tensor { return w.Dropout(p.dropout.Attention) }
	seen := nn.AttendDropped(split(p.padded(a.Query.Forward(x))), split(keys), split(values), mask, drop)
	seen = p.packed(nn.JoinHeads(seen), x) // [groups, H, S, D] -> the shape of x
	return a.Norm.Forward(a.Out.Forward(seen).Dropout(p.dropout.Hidden).Add(x))
}

// padded puts tokens [N, C] in their positions, [B T, C].
func (p *pass) padded(x *torch.Tensor) *torch.Tensor {
	if p.texts == nil {
		return x
	}
	return p.texts.Padded(x)
}

// packed is the way back to the shape of x.
func (p *pass) packed(seen, x *torch.Tensor) *torch.Tensor {
	if p.texts == nil {
		return seen
	}
	return p.texts.Packed(seen.Reshape(-1, x.Dim(-1)))
}

// causal is the mask of the batch in type d, made once a pass.
func (p *pass) causal(d torch.DType) *torch.Tensor {
	if p.made == nil || p.made.DType() != d {
		p.made = p.texts.Causal(d)
	}
	return p.made
}
