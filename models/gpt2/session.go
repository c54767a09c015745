package gpt2

import (
	"fmt"

	"captioner/models/kvcache"
	"captioner/torch"
)

// Session generates texts for the images of one batch, a token a step. Its cache is allocated once: keys and values
// of the memory are computed when it starts, those of the texts as they grow. What the rows of a step are, package
// kvcache says.
//
// A Session is for one goroutine, inside torch.Do; Free ends it.
type Session struct {
	d      *Decoder
	key    kvcache.Key
	cache  *kvcache.Cache
	broken bool          // a step has begun and not ended
	memory *torch.Tensor // [2 layers, images, H, P, D]: each layer's keys and values; nil without, and where P is 1
	first  *torch.Tensor // [images, C]: what the first step is fed in the place of its tokens; nil: its tokens
	single *torch.Tensor // [layers, images, C]: what each layer's cross-attention gives, where P is 1; else nil
}

// Start begins texts of at most maxLen tokens. memory [G, P, C] is one per image; without one (nil) the
// cross-attention is left out. width is how many rows an image will have; more are allowed, at the price of a larger
// cache later.
func (d *Decoder) Start(memory *torch.Tensor, images, width, maxLen int) (*Session, error) {
	return d.start(memory, images, width, maxLen, true)
}

// start is Start; with again, the session may be used again, and its steps recorded: see kvcache.Idle.
func (d *Decoder) start(memory *torch.Tensor, images, width, maxLen int, again bool) (*Session, error) {
	shape := kvcache.Shape{Layers: len(d.blocks), Heads: d.Config.Heads, Size: d.Config.headSize(), Images: images,
		Width: width, Length: maxLen, Device: d.device, AnyRows: d.head.AnyRows()}
	if err := shape.Check(d.Config.Positions, "n_positions"); err != nil {
		return nil, err
	}
	switch {
	case memory != nil && !d.Config.CrossAttention:
		return nil, fmt.Errorf("start decoding: found a memory, want none for a model without cross-attention")
	case memory != nil && (memory.Rank() != 3 || memory.Dim(0) != int64(images) || memory.Dim(2) != d.Config.Width):
		const message = "start decoding: found a memory of shape %v, want [%d, positions, %d]"
		return nil, fmt.Errorf(message, memory.Shape(), images, d.Config.Width)
	}
	key := kvcache.Key{Shape: shape}
	if memory != nil {
		key.Positions = memory.Dim(1)
	}
	fresh := &Session{d: d, key: key}
	if !again {
		return kvcache.Begin(fresh, func(s *Session) { s.begin(memory, shape) }), nil
	}
	return d.idle.Begin(key, func() *Session { return fresh },
		func(s *Session, shape kvcache.Shape) { s.begin(memory, shape) }), nil
}

// begin fills the cache, which is made in the first batch of a session, with what the texts see of memory [G, P, C].
func (s *Session) begin(memory *torch.Tensor, shape kvcache.Shape) {
	s.cache = kvcache.Ready(s.cache, shape)
	if memory == nil {
		return
	}
	d, g, p := s.d, memory.Dim(0), memory.Dim(1)
	layers, size := int64(len(d.blocks)), d.Config.headSize()
	if p == 1 {
		kvcache.ShareNew(s.cache, &s.single, layers, g, d.Config.Width)
		d.memorySingle(memory, s.single)
		return
	}
	kvcache.ShareNew(s.cache, &s.memory, 2*layers, g, d.Config.Heads, p, size)
	d.memoryKV(memory, s.memory)
}

// Holds is the bytes of keys and values that a session keeps of an image whose memory has so many positions.
func (d *Decoder) Holds(positions int64) int64 {
	if positions == 1 {
		return 0
	}
	return 2 * int64(len(d.blocks)) * positions * d.Config.Width * int64(torch.Float32.Size())
}

// StartAfter begins texts of at most maxLen tokens that follow a prefix [G, P, C] of embeddings, one an image. The
// first step feeds the last of them, whatever its tokens are, so that it gives the first token of a text. width is as
// in Start.
func (d *Decoder) StartAfter(prefix *torch.Tensor, images, width, maxLen int) (*Session, error) {
	if prefix == nil || prefix.Rank() != 3 || prefix.Dim(0) != int64(images) || prefix.Dim(2) != d.Config.Width {
		const message = "start decoding: found a prefix of shape %v, want [%d, positions, %d]"
		return nil, fmt.Errorf(message, prefix.Shape(), images, d.Config.Width)
	}
	before := prefix.Dim(1) - 1
	s, err := d.start(nil, images, width, maxLen+int(before), false)
	if err != nil {
		return nil, err
	}
	torch.NoGrad(func() {
		x := prefix.Detach().Move(d.device, torch.Float32, false)
		for i := range before {
			torch.Scoped(func() { s.feed(x.Select(1, i).Contiguous()) })
			s.cache.Before()
		}
		torch.Scoped(func() { s.first = x.Select(1, before).Move(d.device, torch.Float32, true).Contiguous().Keep() })
	})
	return s, nil
}

// memorySingle puts into out every layer's cross-attention to a memory of one position: its softmax is 1 whatever the
// text asks, so what comes out is the projected value, once an image.
func (d *Decoder) memorySingle(memory, out *torch.Tensor) {
	torch.NoGrad(func() {
		torch.Scoped(func() {
			x := memory.Detach().Move(d.device, d.dtype, false).Select(1, 0).Contiguous() // [G, C]
			for i := range d.blocks {
				torch.Scoped(func() {
					kv := d.blocks[i].crossKV.Forward(x, nil)                          // [G, 2C]
					value := kv.Narrow(1, d.Config.Width, d.Config.Width).Contiguous() // [G, C]
					out.Select(0, int64(i)).Copy(d.blocks[i].crossOut.ForwardFloat32(value, nil, nil))
				})
			}
		})
	})
}

// memoryKV puts the keys and values of every layer into out.
func (d *Decoder) memoryKV(memory, out *torch.Tensor) {
	torch.NoGrad(func() {
		torch.Scoped(func() {
			g, p, h, size := memory.Dim(0), memory.Dim(1), d.Config.Heads, d.Config.headSize()
			x := memory.Detach().Move(d.device, d.dtype, false).Contiguous()
			for i := range d.blocks {
				torch.Scoped(func() {
					kv := d.blocks[i].crossKV.Forward(x, nil).View(g, p, 2, h, size) // [G, P, 2C]
					out.Narrow(0, int64(2*i), 2).Copy(kv.Permute(2, 0, 3, 1, 4))     // [2, G, H, P, D]
				})
			}
		})
	})
}

// Free ends the session. Its tensors stay where the next may use them.
func (s *Session) Free() { s.d.idle.End(s.key, s, s.cache, s.broken) }

// Release releases the tensors.
func (s *Session) Release() {
	s.cache.Free()
	s.first.Free()
}

// Step feeds tokens[r] to row r, which continues row parents[r] of the step before (nil at the first step: one row an
// image), and gives for each row its k best next tokens, best first, with their log-probabilities under the softmax
// of the whole vocabulary; ties: the lower id first. ban lists tokens that a row must not return. Both results are
// [rows*k]; where a row has fewer than k tokens left, the id is -1.
func (s *Session) Step(parents, tokens []int32, k int, ban [][]int32) (ids []int32, logProbs []float32, err error) {
	return s.cache.Choose(k, ban, func() (*torch.Tensor, error) { return s.advance(parents, tokens) },
		func(x *torch.Tensor, ban [][]int32) ([]int32, []float32) {
			return s.d.head.TopKLogProbs(x, &s.d.norm, k, ban)
		})
}

// Logits is Step without the choice: the logits of the next token, [rows, V] in float32, in the scope of the caller.
func (s *Session) Logits(parents, tokens []int32) (*torch.Tensor, error) {
	return s.cache.Logits(func() (*torch.Tensor, error) { return s.advance(parents, tokens) },
		func(x *torch.Tensor) *torch.Tensor { return s.d.head.ForwardFloat32(x, &s.d.norm, nil) })
}

// advance runs the blocks on one token a row: [rows, C], in the order of the cache.
func (s *Session) advance(parents, tokens []int32) (x *torch.Tensor, err error) {
	ids, err := s.cache.Next(parents, tokens)
	if err != nil {
		return nil, err
	}
	s.broken = true
	torch.NoGrad(func() {
		if s.first != nil && s.cache.Fresh() {
			x = s.feed(s.first)
		} else {
			x = s.cache.Step(ids, func(ids *torch.Tensor) *torch.Tensor {
				return s.feed(torch.Embedding(s.d.tokens, ids).To(torch.Float32)) // [R, C]
			})
		}
		x = x.Narrow(0, 0, s.cache.Rows())
	})
	s.cache.Done()
	s.broken = false
	return x, nil
}

// feed runs the blocks on the embedding of one position a row, x [R, C].
func (s *Session) feed(x *torch.Tensor) *torch.Tensor {
	x = x.Add(s.cache.Position(s.d.positions))
	for i := range s.d.blocks {
		x = torch.Tidy1(func() *torch.Tensor { return s.block(i, x) })
	}
	return x
}

// block is Block.forward for one token a row, x [R, C].
func (s *Session) block(i int, x *torch.Tensor) *torch.Tensor {
	b := &s.d.blocks[i]
	x = b.out.ForwardFloat32(s.selfAttention(i, b.qkv.Forward(x, &b.selfNorm)), nil, x)
	switch {
	case s.single != nil:
		seen := s.cache.Shared(s.single, i, 1).Select(0, 0).Unsqueeze(1) // [G, 1, C]
		x = x.View(seen.Dim(0), -1, s.d.Config.Width).Add(seen).View(x.Dim(0), -1)
	case s.memory != nil:
		q := s.heads(b.crossQ.Forward(x, &b.crossNorm)) // [R, H, D]
		x = b.crossOut.ForwardFloat32(kvcache.Attend(q, s.cache.Shared(s.memory, 2*i, 2), s.d.fused), nil, x)
	}
	return b.down.ForwardFloat32(b.up.Forward(x, &b.mlpNorm), nil, x)
}

// selfAttention looks with the queries of qkv [R, 3C] at all tokens so far, its own among them: [R, C].
func (s *Session) selfAttention(i int, qkv *torch.Tensor) *torch.Tensor {
	x := qkv.View(qkv.Dim(0), 3, s.d.Config.Heads, s.d.Config.headSize()) // [R, 3, H, D]
	return s.cache.Own(i, x.Select(1, 0), x.Narrow(1, 1, 2), s.d.fused)
}

// heads splits queries [R, C] into [R, H, D].
func (s *Session) heads(q *torch.Tensor) *torch.Tensor {
	return q.View(q.Dim(0), s.d.Config.Heads, s.d.Config.headSize())
}
