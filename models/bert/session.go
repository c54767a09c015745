package bert

import (
	"fmt"

	"captioner/models/kvcache"
	"captioner/torch"
)

// Session generates texts for the images of one batch, a token a step. What belongs to an image, keys and values of
// its memory or of its prefix, is computed when it starts, once for all rows of the image. What the rows of a step
// are, package kvcache says.
//
// A Session is for one goroutine, inside torch.Do; Free ends it.
type Session struct {
	d      *Decoder
	key    kvcache.Key
	broken bool // a step has begun and not ended
	cache  *kvcache.Cache
	memory *torch.Tensor // [2 layers, images, H, P, D]: keys and values that cross-attention looks at; nil without
	prefix *torch.Tensor // [2 layers, images, H, P, D]: those that self-attention looks at before the text's; nil without
}

// Start begins texts of at most maxLen tokens over a memory [G, P, M], one an image. width is how many rows an image
// will have; more are allowed, at the price of a larger cache later.
func (d *Decoder) Start(memory *torch.Tensor, images, width, maxLen int) (*Session, error) {
	shape, err := d.shape(memory, d.Config.Memory, images, width, maxLen)
	if err != nil {
		return nil, err
	}
	key := kvcache.Key{Shape: shape, Positions: memory.Dim(1)}
	return d.idle.Begin(key, func() *Session { return &Session{d: d, key: key} },
		func(s *Session, shape kvcache.Shape) { s.look(memory, shape) }), nil
}

// look makes the cache, in the first batch of a session, and computes what the texts see of a memory.
func (s *Session) look(memory *torch.Tensor, shape kvcache.Shape) {
	s.cache = kvcache.Ready(s.cache, shape)
	d := s.d
	kvcache.ShareNew(s.cache, &s.memory, d.perImage(memory)...)
	s.inside(func() {
		x := memory.Detach().Move(d.device, d.dtype, false).Contiguous()
		for i := range d.layers {
			torch.Scoped(func() {
				kv := d.layers[i].crossKV.Forward(x, nil) // [G, P, 2C]
				d.split(kv, s.memory.Narrow(0, int64(2*i), 2))
			})
		}
	})
}

// StartAfter begins texts of at most maxLen tokens that follow a prefix [G, P, C], one an image, whose positions look
// at each other. width is as in Start.
func (d *Decoder) StartAfter(prefix *torch.Tensor, images, width, maxLen int) (*Session, error) {
	shape, err := d.shape(prefix, d.Config.Width, images, width, maxLen)
	if err != nil {
		return nil, err
	}
	return kvcache.Begin(&Session{d: d}, func(s *Session) {
		s.cache = kvcache.New(shape)
		kvcache.ShareNew(s.cache, &s.prefix, d.perImage(prefix)...)
		s.inside(func() {
			x := prefix.Detach().Move(d.device, torch.Float32, false).Contiguous() // [G, P, C]
			for i := range d.layers {
				x = torch.Tidy1(func() *torch.Tensor { return s.prefixLayer(i, x) })
			}
		})
	}), nil
}

// Holds is the bytes of keys and values that a session keeps of an image with so many positions.
func (d *Decoder) Holds(positions int64) int64 {
	return 2 * int64(len(d.layers)) * positions * d.Config.Width * int64(torch.Float32.Size())
}

// shape is that of the cache of texts for what is given of the images, [G, P, channels].
func (d *Decoder) shape(x *torch.Tensor, channels int64, images, width, maxLen int) (kvcache.Shape, error) {
	shape := kvcache.Shape{Layers: len(d.layers), Heads: d.Config.Heads, Size: d.Config.headSize(), Images: images,
		Width: width, Length: maxLen, Device: d.device, AnyRows: d.head.words.AnyRows()}
	if err := shape.Check(d.Config.Positions, "max_position_embeddings"); err != nil {
		return shape, err
	}
	if x == nil || x.Rank() != 3 || x.Dim(0) != int64(images) || x.Dim(2) != channels {
		const message = "start decoding: found %v for the images, want [%d, positions, %d]"
		return shape, fmt.Errorf(message, x.Shape(), images, channels)
	}
	return shape, nil
}

// perImage is the shape of keys and values of all layers over x [G, P, …].
func (d *Decoder) perImage(x *torch.Tensor) []int64 {
	return []int64{int64(2 * len(d.layers)), x.Dim(0), d.Config.Heads, x.Dim(1), d.Config.headSize()}
}

// split writes keys and values kv [G, P, 2C] to [2, G, H, P, D].
func (d *Decoder) split(kv, to *torch.Tensor) {
	kv = kv.View(kv.Dim(0), kv.Dim(1), 2, d.Config.Heads, d.Config.headSize())
	to.Copy(kv.Permute(2, 0, 3, 1, 4))
}

// inside runs f without gradients in a scope of its own.
func (s *Session) inside(f func()) { torch.NoGrad(func() { torch.Scoped(f) }) }

// prefixLayer runs layer i on a prefix x [G, P, C] and keeps its keys and values.
func (s *Session) prefixLayer(i int, x *torch.Tensor) *torch.Tensor {
	l, c := &s.d.layers[i], s.d.Config.Width
	qkv := l.qkv.Forward(x, nil) // [G, P, 3C]
	s.d.split(qkv.Narrow(2, c, 2*c), s.prefix.Narrow(0, int64(2*i), 2))
	return l.all(qkv, x, s.d.Config.Heads)
}

// Free ends the session. Its tensors stay where the next may use them.
func (s *Session) Free() { s.d.idle.End(s.key, s, s.cache, s.broken) }

// Release releases the tensors.
func (s *Session) Release() { s.cache.Free() }

// Step feeds tokens[r] to row r, which continues row parents[r] of the step before (nil at the first step: one row an
// image), and gives for each row its k best next tokens, best first, with their log-probabilities under the softmax
// of the whole vocabulary; ties: the lower id first. ban lists tokens that a row must not return. Both results are
// [rows*k]; where a row has fewer than k tokens left, the id is -1.
func (s *Session) Step(parents, tokens []int32, k int, ban [][]int32) (ids []int32, logProbs []float32, err error) {
	return s.cache.Choose(k, ban, func() (*torch.Tensor, error) { return s.advance(parents, tokens) },
		func(x *torch.Tensor, ban [][]int32) ([]int32, []float32) {
			return s.d.head.words.TopKLogProbs(s.d.head.before(x), nil, k, ban)
		})
}

// Logits is Step without the choice: the logits of the next token, [rows, V] in float32, in the scope of the caller.
func (s *Session) Logits(parents, tokens []int32) (*torch.Tensor, error) {
	return s.cache.Logits(func() (*torch.Tensor, error) { return s.advance(parents, tokens) },
		func(x *torch.Tensor) *torch.Tensor {
			return s.d.head.words.ForwardFloat32(s.d.head.before(x), nil, nil)
		})
}

// before is what the words are multiplied with, of hidden states x [R, C].
func (h *head) before(x *torch.Tensor) *torch.Tensor {
	if !h.transform {
		return x
	}
	return h.norm.Forward(h.dense.ForwardFloat32(x, nil, nil), torch.Float32)
}

// advance runs the layers on one token a row: [rows, C], in the order of the cache.
func (s *Session) advance(parents, tokens []int32) (x *torch.Tensor, err error) {
	ids, err := s.cache.Next(parents, tokens)
	if err != nil {
		return nil, err
	}
	s.broken = true
	torch.NoGrad(func() {
		x = s.cache.Step(ids, func(ids *torch.Tensor) *torch.Tensor {
			x := torch.Embedding(s.d.tokens, ids).To(torch.Float32) // [R, C]
			x = x.Add(s.cache.Position(s.d.positions))
			x = s.d.norm.Forward(x, torch.Float32)
			for i := range s.d.layers {
				x = torch.Tidy1(func() *torch.Tensor { return s.layer(i, x) })
			}
			return x
		}).Narrow(0, 0, s.cache.Rows())
	})
	s.cache.Done()
	s.broken = false
	return x, nil
}

// layer is one layer of Model.Forward for one token a row, x [R, C].
func (s *Session) layer(i int, x *torch.Tensor) *torch.Tensor {
	l := &s.d.layers[i]
	x = l.selfNorm.Forward(l.out.ForwardFloat32(s.selfAttention(i, l.qkv.Forward(x, nil)), nil, x), torch.Float32)
	if s.memory != nil {
		q := l.crossQ.Forward(x, nil)
		q = q.View(q.Dim(0), s.d.Config.Heads, s.d.Config.headSize()) // [R, C] -> [R, H, D]
		seen := kvcache.Attend(q, s.cache.Shared(s.memory, 2*i, 2), s.d.fused)
		x = l.crossNorm.Forward(l.crossOut.ForwardFloat32(seen, nil, x), torch.Float32)
	}
	return l.norm.Forward(l.down.ForwardFloat32(l.up.Forward(x, nil), nil, x), torch.Float32)
}

// selfAttention looks with the queries of qkv [R, 3C] at the prefix and at all tokens so far, its own among them: [R,
// C].
func (s *Session) selfAttention(i int, qkv *torch.Tensor) *torch.Tensor {
	x := qkv.View(qkv.Dim(0), 3, s.d.Config.Heads, s.d.Config.headSize()) // [R, 3, H, D]
	q, kv := x.Select(1, 0), x.Narrow(1, 1, 2)
	if s.prefix == nil {
		return s.cache.Own(i, q, kv, s.d.fused)
	}
	return kvcache.AttendAfter(q, s.cache.Shared(s.prefix, 2*i, 2), s.cache.Put(i, kv), s.d.fused)
}
