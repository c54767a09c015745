package coca

import (
	"fmt"
	"slices"

	"captioner/models/kvcache"
	"captioner/torch"
)

// Session generates texts for the images of one batch, a token a step. What the rows of a step are, package kvcache
// says. It is for one goroutine, inside torch.Do; Free ends it.
type Session struct {
	d      *Decoder
	cache  *kvcache.Cache // of the unimodal blocks, then of the multimodal ones
	memory *torch.Tensor  // [2 layers, images, H, Q-1, D]: keys and values of each cross-attention
	rows   [][]int32      // what each row was fed, in the caller's order
	hidden [][]int64      // by row of the cache, the positions that the text alone may look at; nil: all
}

// Start begins texts of at most maxLen tokens about images, from the tokens behind the image tower's last block [G, P,
// image]. width is how many rows an image will have; more are allowed, at the price of a larger cache later.
func (d *Decoder) Start(tokens *torch.Tensor, images, width, maxLen int) (*Session, error) {
	heads := d.Config.Text.Heads
	shape := kvcache.Shape{Layers: len(d.text) + len(d.self), Heads: heads, Size: d.Config.Width / heads,
		Images: images, Width: width, Length: maxLen, Device: d.device, AnyRows: d.words.AnyRows()}
	if err := shape.Check(d.Config.Context, "context_length"); err != nil {
		return nil, err
	}
	if tokens == nil || tokens.Rank() != 3 || tokens.Dim(0) != int64(images) || tokens.Dim(2) != d.Config.Image {
		const message = "start decoding: found image tokens of shape %v, want [%d, positions, %d]"
		return nil, fmt.Errorf(message, tokens.Shape(), images, d.Config.Image)
	}
	s := &Session{d: d, cache: kvcache.New(shape)}
	torch.NoGrad(func() {
		torch.Scoped(func() { s.memory = d.imageKV(d.Pool(tokens.Detach().Move(d.device, torch.Float32, false))) })
	})
	s.cache.Share(s.memory)
	return s, nil
}

// Holds is the bytes of keys and values that a session keeps of an image, whatever its positions are: those of the
// pooler's questions.
func (d *Decoder) Holds(int64) int64 {
	return 2 * int64(len(d.cross)) * d.pool.query.Dim(0) * d.Config.Width * int64(torch.Float32.Size())
}

// imageKV gives the keys and values of every cross-attention to x [G, Q-1, C], kept.
func (d *Decoder) imageKV(x *torch.Tensor) *torch.Tensor {
	g, p, h := x.Dim(0), x.Dim(1), d.Config.Multimodal.Heads
	size := d.Config.Width / h
	out := torch.Empty(torch.Float32, d.device, int64(2*len(d.cross)), g, h, p, size).Keep()
	for i := range d.cross {
		torch.Scoped(func() {
			b := &d.cross[i]
			kv := b.kv.ForwardFloat32(x, &b.imageNorm, nil).View(g, p, 2, h, size) // [G, Q-1, 2C]
			out.Narrow(0, int64(2*i), 2).Copy(kv.Permute(2, 0, 3, 1, 4))           // [2, G, H, Q-1, D]
		})
	}
	return out
}

// Free releases the cache.
func (s *Session) Free() { s.cache.Free() }

// Step feeds tokens[r] to row r, which continues row parents[r] of the step before (nil at the first step: one row an
// image), and gives for each row its k best next tokens, best first, with their log-probabilities under the softmax
// of the whole vocabulary; ties: the lower id first. ban lists tokens that a row must not return. Both results are
// [rows*k]; where a row has fewer than k tokens left, the id is -1.
func (s *Session) Step(parents, tokens []int32, k int, ban [][]int32) (ids []int32, logProbs []float32, err error) {
	return s.cache.Choose(k, ban, func() (*torch.Tensor, error) { return s.advance(parents, tokens) },
		func(x *torch.Tensor, ban [][]int32) ([]int32, []float32) {
			return s.d.words.TopKLogProbs(x, &s.d.norm, k, ban)
		})
}

// Logits is Step without the choice: the logits of the next token, [rows, V] in float32, in the scope of the caller.
func (s *Session) Logits(parents, tokens []int32) (*torch.Tensor, error) {
	return s.cache.Logits(func() (*torch.Tensor, error) { return s.advance(parents, tokens) },
		func(x *torch.Tensor) *torch.Tensor { return s.d.words.ForwardFloat32(x, &s.d.norm, nil) })
}

// advance runs all blocks on one token a row: [rows, C], in the order of the cache.
func (s *Session) advance(parents, tokens []int32) (x *torch.Tensor, err error) {
	ids, err := s.cache.Next(parents, tokens)
	if err != nil {
		return nil, err
	}
	s.note(parents, tokens)
	torch.NoGrad(func() {
		x = torch.Embedding(s.d.tokens, torch.Upload(ids, s.d.device)).To(torch.Float32) // [R, C]
		x = x.Add(s.cache.Position(s.d.positions))
		for i := range s.d.text {
			x = torch.Tidy1(func() *torch.Tensor { return s.block(&s.d.text[i], i, x, s.hidden) })
		}
		for i := range s.d.self {
			x = torch.Tidy1(func() *torch.Tensor {
				return s.crossBlock(i, s.block(&s.d.self[i], len(s.d.text)+i, x, nil))
			})
		}
		x = x.Narrow(0, 0, s.cache.Rows())
	})
	s.cache.Done()
	return x, nil
}

// note keeps what each row is fed, and finds the rows whose text has positions that it may not look at.
func (s *Session) note(parents, tokens []int32) {
	rows := make([][]int32, len(tokens))
	s.hidden = nil
	for r, token := range tokens {
		if parents != nil {
			rows[r] = slices.Clip(s.rows[parents[r]])
		}
		rows[r] = append(rows[r], token)
		if !slices.Contains(rows[r][:len(rows[r])-1], s.d.Config.Pad) {
			continue
		}
		if s.hidden == nil {
			s.hidden = make([][]int64, s.cache.Images()*int64(s.cache.Width()))
		}
		s.hidden[s.cache.Row(r)] = s.d.Config.visible(rows[r])
	}
	s.rows = rows
}

// visible are the positions of a text that its tokens may look at in the unimodal half: see Decoder.
func (c Config) visible(text []int32) []int64 {
	seen := make([]int64, 0, len(text))
	for i := range text {
		if i == 0 || text[i-1] != c.Pad {
			seen = append(seen, int64(i))
		}
	}
	return seen
}

// block is a block of the text alone for one token a row, x [R, C], whose keys and values are number layer of the
// cache.
func (s *Session) block(b *block, layer int, x *torch.Tensor, hidden [][]int64) *torch.Tensor {
	heads, c := s.d.Config.Text.Heads, s.d.Config.Width
	qkv := b.qkv.Forward(x, &b.norm).View(-1, 3, heads, c/heads) // [R, 3, H, D]
	q, kv := qkv.Select(1, 0), s.cache.Put(layer, qkv.Narrow(1, 1, 2))
	y := s.d.attend(q, kv) // [R, C]
	for r, seen := range hidden {
		if seen != nil {
			one := kv.Narrow(1, int64(r), 1).IndexSelect(3, torch.Upload(seen, s.d.device)) // [2, 1, H, S, D]
			y.Narrow(0, int64(r), 1).Copy(s.d.attend(q.Narrow(0, int64(r), 1), one))
		}
	}
	x = b.out.ForwardFloat32(y, nil, x)
	return b.down.ForwardFloat32(b.up.Forward(x, &b.mlpNorm), nil, x)
}

// crossBlock lets one token a row look at its image, x [R, C].
func (s *Session) crossBlock(i int, x *torch.Tensor) *torch.Tensor {
	b, heads := &s.d.cross[i], s.d.Config.Multimodal.Heads
	q := b.q.Forward(x, &b.norm).View(-1, heads, s.d.Config.Width/heads) // [R, H, D]
	x = b.out.ForwardFloat32(s.d.attend(q, s.cache.Shared(s.memory, 2*i, 2)), nil, x)
	return b.down.ForwardFloat32(b.up.Forward(x, &b.mlpNorm), nil, x)
}

func (d *Decoder) attend(q, kv *torch.Tensor) *torch.Tensor { return kvcache.Attend(q, kv, d.fused) }
