package gpt2

import (
	"fmt"
	"math"

	"captioner/torch"
)

// Session generates texts for the images of one batch, a token a step. Its cache is allocated once: keys and values of the memory are
// computed when it starts, those of the texts as they grow.
//
// The rows of a step are the texts: those of one image stand next to each other, each image has as many, and images keep their order; an
// image whose rows nobody continues is finished and leaves the batch. A Session is for one goroutine, inside torch.Do; Free ends it.
type Session struct {
	d      *Decoder
	maxLen int64
	t      int64 // tokens fed to each row so far
	images int   // at the start
	at     places
	rows   int64         // that the cache has room for
	cache  *torch.Tensor // [2 layers, rows, H, maxLen, D]: keys and values of each layer's texts
	memory *torch.Tensor // [2 layers, images, H, P, D]: keys and values of each layer's memory; nil without, and where P is 1
	single *torch.Tensor // [layers, images, C]: what each layer's cross-attention gives, where P is 1; else nil
}

// Start begins texts of at most maxLen tokens. memory [G, P, C] is one per image; without one (nil) the cross-attention is left out.
// width is how many rows an image will have; more are allowed, at the price of a larger cache later.
func (d *Decoder) Start(memory *torch.Tensor, images, width, maxLen int) (*Session, error) {
	switch {
	case images < 1 || width < 1:
		return nil, fmt.Errorf("start decoding: found %d images with %d rows, want 1 or more of each", images, width)
	case maxLen < 1 || int64(maxLen) > d.Config.Positions:
		return nil, fmt.Errorf("start decoding: found texts of %d tokens, want 1 to n_positions %d", maxLen, d.Config.Positions)
	case memory != nil && !d.Config.CrossAttention:
		return nil, fmt.Errorf("start decoding: found a memory, want none for a model without cross-attention")
	case memory != nil && (memory.Rank() != 3 || memory.Dim(0) != int64(images) || memory.Dim(2) != d.Config.Width):
		return nil, fmt.Errorf("start decoding: found a memory of shape %v, want [%d, positions, %d]", memory.Shape(), images, d.Config.Width)
	}
	s := &Session{d: d, maxLen: int64(maxLen), images: images, at: firstPlaces(images)}
	s.grow(int64(images * width))
	if memory != nil && memory.Dim(1) == 1 {
		s.single = d.memorySingle(memory)
	} else if memory != nil {
		s.memory = d.memoryKV(memory)
	}
	return s, nil
}

// memorySingle gives every layer's cross-attention, kept, to a memory of one position: its softmax is 1 whatever the text asks, so what comes
// out is the projected value, once an image.
func (d *Decoder) memorySingle(memory *torch.Tensor) *torch.Tensor {
	var out *torch.Tensor
	torch.NoGrad(func() {
		torch.Scoped(func() {
			x := memory.Detach().Move(d.device, d.dtype, false).Select(1, 0).Contiguous() // [G, C]
			out = torch.Empty(torch.Float32, d.device, int64(len(d.blocks)), x.Dim(0), d.Config.Width).Keep()
			for i := range d.blocks {
				torch.Scoped(func() {
					value := d.blocks[i].crossKV.Forward(x, nil).Narrow(1, d.Config.Width, d.Config.Width).Contiguous() // [G, 2C] -> [G, C]
					out.Select(0, int64(i)).Copy(d.blocks[i].crossOut.Wide(value, nil, nil))
				})
			}
		})
	})
	return out
}

// memoryKV gives the keys and values of every layer, kept.
func (d *Decoder) memoryKV(memory *torch.Tensor) *torch.Tensor {
	var out *torch.Tensor
	torch.NoGrad(func() {
		torch.Scoped(func() {
			g, p, h, size := memory.Dim(0), memory.Dim(1), d.Config.Heads, d.Config.headSize()
			x := memory.Detach().Move(d.device, d.dtype, false).Contiguous()
			out = torch.Empty(torch.Float32, d.device, int64(2*len(d.blocks)), g, h, p, size).Keep()
			for i := range d.blocks {
				torch.Scoped(func() {
					kv := d.blocks[i].crossKV.Forward(x, nil).View(g, p, 2, h, size) // [G, P, 2C]
					out.Narrow(0, int64(2*i), 2).Copy(kv.Permute(2, 0, 3, 1, 4))     // [2, G, H, P, D]
				})
			}
		})
	})
	return out
}

// Free releases the cache.
func (s *Session) Free() {
	s.cache.Free()
	s.memory.Free()
	s.single.Free()
}

// grow makes room for rows, and keeps what is there.
func (s *Session) grow(rows int64) {
	old := s.cache
	s.cache = torch.Empty(torch.Float32, s.d.device, int64(2*len(s.d.blocks)), rows, s.d.Config.Heads, s.maxLen, s.d.Config.headSize()).Keep()
	if old != nil {
		torch.Scoped(func() { s.cache.Narrow(1, 0, s.rows).Copy(old) })
		old.Free()
	}
	s.rows = rows
}

// Step feeds tokens[r] to row r, which continues row parents[r] of the step before (nil at the first step: one row an image), and gives for
// each row its k best next tokens, best first, with their log-probabilities under the softmax of the whole vocabulary; ties: the lower id
// first. ban lists tokens that a row must not return. Both results are [rows*k]; where a row has fewer than k tokens left, the id is -1.
func (s *Session) Step(parents, tokens []int32, k int, ban [][]int32) (ids []int32, logProbs []float32, err error) {
	torch.Scoped(func() {
		var x *torch.Tensor
		if x, err = s.advance(parents, tokens); err != nil {
			return
		}
		ids, logProbs = s.best(x, k, ban)
	})
	return ids, logProbs, err
}

// Logits is Step without the choice: the logits of the next token, [rows, V] in float32, in the scope of the caller.
func (s *Session) Logits(parents, tokens []int32) (*torch.Tensor, error) {
	var err error
	out := torch.Tidy1(func() *torch.Tensor {
		var x *torch.Tensor
		if x, err = s.advance(parents, tokens); err != nil {
			return nil
		}
		return s.d.head.Wide(x, &s.d.norm, nil).IndexSelect(0, put(int64s(s.at.row), s.d.device))
	})
	return out, err
}

// best ranks the next tokens by the hidden states x [rows, C]; it asks for the rows in the cache's order and answers in the caller's.
func (s *Session) best(x *torch.Tensor, k int, ban [][]int32) ([]int32, []float32) {
	var banned [][]int32
	if ban != nil {
		banned = make([][]int32, len(s.at.row))
		for r, c := range s.at.row {
			if r < len(ban) {
				banned[c] = ban[r]
			}
		}
	}
	found, probs := s.d.head.TopKLogProbs(x, &s.d.norm, k, banned)
	ids, logProbs := make([]int32, len(found)), make([]float32, len(probs))
	for r, c := range s.at.row {
		copy(ids[r*k:(r+1)*k], found[c*k:])
		copy(logProbs[r*k:(r+1)*k], probs[c*k:])
	}
	return ids, logProbs
}

// advance puts the rows where the step wants them and runs the blocks on one token each: [rows, C], in the cache's order.
func (s *Session) advance(parents, tokens []int32) (x *torch.Tensor, err error) {
	if s.t == s.maxLen {
		return nil, fmt.Errorf("decoder step: text is full, %d tokens", s.maxLen)
	}
	if (parents == nil) != (s.t == 0) {
		return nil, fmt.Errorf("decoder step %d: found %d parents, want none at the first step only", s.t, len(parents))
	}
	if parents != nil {
		if err := s.move(parents); err != nil {
			return nil, err
		}
	}
	if len(tokens) != len(s.at.row) {
		return nil, fmt.Errorf("decoder step %d: found %d tokens for %d rows", s.t, len(tokens), len(s.at.row))
	}
	groups := s.standing()
	ids := make([]int64, groups*s.at.width)
	for r, c := range s.at.row {
		ids[c] = int64(tokens[r])
	}
	torch.NoGrad(func() {
		x = torch.Embedding(s.d.tokens, put(ids, s.d.device)).Add(s.d.positions.Select(0, s.t)) // [R, C]
		for i := range s.d.blocks {
			x = torch.Tidy1(func() *torch.Tensor { return s.block(i, x, groups) })
		}
		x = x.Narrow(0, 0, int64(len(tokens)))
	})
	s.t++
	return x, nil
}

// standing is how many images the step computes: those that are alive, and some that are finished and still stand behind them, for a round
// number. oneDNN's kernels are made for each number of rows that they meet, and kept: with every number, that is time and memory. Our own take any.
func (s *Session) standing() int {
	if s.d.head.AnyRows() {
		return len(s.at.image)
	}
	quarter := (s.images + 3) / 4
	n := (len(s.at.image) + quarter - 1) / quarter * quarter
	return max(len(s.at.image), min(n, s.images, int(s.rows)/s.at.width))
}

// move brings the cache into the order of the step.
func (s *Session) move(parents []int32) error {
	next, m, err := s.at.next(parents)
	if err != nil {
		return err
	}
	s.at = next
	if n := int64(len(next.row)); n > s.rows {
		s.grow(n)
	}
	torch.NoGrad(func() {
		torch.Scoped(func() {
			if len(m.rows) > 0 {
				copyRows(s.cache.Narrow(3, 0, s.t).Transpose(0, 1), m.rows, m.rowsTo, s.d.device) // [rows, 2 layers, H, t, D]
			}
			for _, memory := range []*torch.Tensor{s.memory, s.single} {
				if len(m.images) > 0 && memory != nil {
					copyRows(memory.Transpose(0, 1), m.images, m.imagesTo, s.d.device)
				}
			}
		})
	})
	return nil
}

func copyRows(x *torch.Tensor, from, to []int64, dev torch.Device) {
	x.IndexCopyRows(put(to, dev), x.IndexSelect(0, put(from, dev)))
}

// block is Block.forward for one token a row, x [R, C].
func (s *Session) block(i int, x *torch.Tensor, groups int) *torch.Tensor {
	b := &s.d.blocks[i]
	x = b.out.Wide(s.selfAttention(i, b.qkv.Forward(x, &b.selfNorm)), nil, x)
	switch {
	case s.single != nil:
		seen := s.single.Select(0, int64(i)).Narrow(0, 0, int64(groups)).Unsqueeze(1) // [G, 1, C]
		x = x.View(int64(groups), -1, s.d.Config.Width).Add(seen).View(x.Dim(0), -1)
	case s.memory != nil:
		x = b.crossOut.Wide(s.crossAttention(i, b.crossQ.Forward(x, &b.crossNorm), groups), nil, x)
	}
	return b.down.Wide(b.up.Forward(x, &b.mlpNorm), nil, x)
}

// selfAttention writes the keys and values of qkv [R, 3C] into the cache and looks at all that are there: [R, C].
func (s *Session) selfAttention(i int, qkv *torch.Tensor) *torch.Tensor {
	r := qkv.Dim(0)
	x := qkv.View(r, 3, s.d.Config.Heads, s.d.Config.headSize())
	kv := s.cache.Narrow(0, int64(2*i), 2).Narrow(1, 0, r) // [2, R, H, maxLen, D]
	kv.Select(3, s.t).Copy(x.Narrow(1, 1, 2).Transpose(0, 1))
	return s.attend(x.Select(1, 0), kv.Narrow(3, 0, s.t+1))
}

// crossAttention looks at the memory with q [R, C]: [R, C].
func (s *Session) crossAttention(i int, q *torch.Tensor, groups int) *torch.Tensor {
	kv := s.memory.Narrow(0, int64(2*i), 2).Narrow(1, 0, int64(groups)) // [2, G, H, P, D]
	return s.attend(q.View(q.Dim(0), s.d.Config.Heads, s.d.Config.headSize()), kv)
}

// attend is softmax(q kᵀ/√D) v: q [R, H, D], kv [2, G, H, S, D], of which group g serves the rows g R/G …: [R, C].
func (s *Session) attend(q, kv *torch.Tensor) *torch.Tensor {
	k, v, scale := kv.Select(0, 0), kv.Select(0, 1), 1/math.Sqrt(float64(s.d.Config.headSize()))
	if s.d.fused {
		return torch.StepAttention(q, k, v, scale)
	}
	r, g := q.Dim(0), k.Dim(0)
	x := q.To(torch.Float32).MulScalar(scale).Reshape(g, r/g, q.Dim(1), q.Dim(2)).Transpose(1, 2) // [G, H, R/G, D]
	y := x.Matmul(k.Transpose(-1, -2)).Softmax(-1).Matmul(v)                                      // [G, H, R/G, D]
	return y.Transpose(1, 2).Reshape(r, s.d.Config.Width).To(s.d.dtype)
}

func int64s(v []int) []int64 {
	out := make([]int64, len(v))
	for i, x := range v {
		out[i] = int64(x)
	}
	return out
}
