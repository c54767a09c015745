package clipdecoder10

import (
	"fmt"

	"captioner/torch"
)

// Session generates texts for the images of one batch, a token a step, with a cache of keys and values. A Session is
// for one goroutine, inside torch.Do; Free ends it.
type Session struct {
	d     *Decoder
	max   int64
	t     int64           // tokens fed to each row so far
	cross *torch.Tensor   // [layers, rows, C]: what each layer's cross-attention gives
	past  []*torch.Tensor // a layer: keys and values [rows, 2, H, t, D]; nil before the first step
}

// Start begins texts of at most maxLen tokens over the memory [G, 1, C]. The softmax over its one position is 1
// whatever the text asks, so a layer's cross-attention is the projected value.
func (d *Decoder) Start(memory *torch.Tensor, images, _, maxLen int) (*Session, error) {
	if memory == nil || memory.Rank() != 3 || memory.Dim(0) != int64(images) || memory.Dim(1) != 1 ||
		memory.Dim(2) != d.Config.Width {
		return nil, fmt.Errorf("start decoding: want a memory of shape [%d, 1, %d]", images, d.Config.Width)
	}
	if maxLen < 1 || int64(maxLen) > d.Config.Positions {
		return nil, fmt.Errorf(
			"start decoding: found texts of %d tokens, want 1 to the %d positions",
			maxLen,
			d.Config.Positions,
		)
	}
	s := &Session{d: d, max: int64(maxLen), past: make([]*torch.Tensor, len(d.layers))}
	torch.NoGrad(func() {
		torch.Scoped(func() {
			x := memory.Select(1, 0).Move(d.device, torch.Float32, false).Mul(d.scale).Add(d.shift) // [G, C]
			var cross []*torch.Tensor
			for i := range d.layers {
				l := &d.layers[i]
				cross = append(cross, l.crossOut.ForwardFloat32(l.value.Forward(x, nil), nil, nil))
			}
			s.cross = torch.Stack(0, cross...).Keep() // [layers, G, C]
		})
	})
	return s, nil
}

// Free releases the cache.
func (s *Session) Free() {
	s.cross.Free()
	for _, p := range s.past {
		p.Free()
	}
}

// Step feeds tokens[r] to row r, which continues row parents[r] of the step before (nil at the first step: one row an
// image), and gives for each row its k best next tokens, best first, with their log-probabilities. ban lists tokens
// that a row must not return. Both results are [rows*k].
func (s *Session) Step(parents, tokens []int32, k int, ban [][]int32) (ids []int32, logProbs []float32, err error) {
	torch.Scoped(func() {
		var logits *torch.Tensor
		if logits, err = s.Logits(parents, tokens); err == nil {
			ids, logProbs = torch.TopKLogProbs(logits, k, 1, ban)
		}
	})
	return ids, logProbs, err
}

// Logits is Step without the choice: the logits of the next token, [rows, V], in the scope of the caller.
func (s *Session) Logits(parents, tokens []int32) (*torch.Tensor, error) {
	if s.t == s.max {
		return nil, fmt.Errorf("decoder step: text is full, %d tokens", s.max)
	}
	if (parents == nil) != (s.t == 0) {
		return nil, fmt.Errorf("decoder step %d: found %d parents, want none at the first step only", s.t, len(parents))
	}
	rows := int(s.cross.Dim(1))
	for _, p := range parents {
		if p < 0 || int(p) >= rows {
			return nil, fmt.Errorf("decoder step %d: found the parent %d, want one of %d rows", s.t, p, rows)
		}
	}
	if want := len(tokens); parents != nil && len(parents) != want || parents == nil && rows != want {
		return nil, fmt.Errorf(
			"decoder step %d: found %d tokens for %d rows",
			s.t,
			len(tokens),
			max(rows, len(parents)),
		)
	}
	return torch.Tidy1(func() *torch.Tensor {
		if parents != nil {
			s.follow(parents)
		}
		x := s.d.embed(ints(tokens).ToDevice(s.d.device), s.t) // [R, C]
		for i := range s.d.layers {
			x = torch.Tidy1(func() *torch.Tensor { return s.layer(i, x) })
		}
		s.t++
		return s.d.project.ForwardFloat32(x, nil, nil)
	}), nil
}

// follow puts the cache into the order of the step.
func (s *Session) follow(parents []int32) {
	index := ints(parents).ToDevice(s.d.device)
	take := func(x **torch.Tensor, d int64) {
		old := *x
		*x = old.IndexSelect(d, index).Keep()
		old.Free()
	}
	take(&s.cross, 1)
	for i := range s.past {
		take(&s.past[i], 0)
	}
}

// layer runs one layer on one token a row, x [R, C]: the norm stands behind each addition.
func (s *Session) layer(i int, x *torch.Tensor) *torch.Tensor {
	l := &s.d.layers[i]
	x = l.norm1.Forward(l.out.ForwardFloat32(s.attend(i, l.qkv.Forward(x, nil)), nil, x), torch.Float32)
	x = l.norm2.Forward(x.Add(s.cross.Select(0, int64(i))), torch.Float32)
	return l.norm3.Forward(l.down.ForwardFloat32(l.up.Forward(x, nil), nil, x), torch.Float32)
}

// attend puts the keys and values of qkv [R, 3C] into the cache and looks at all that are there: [R, C].
func (s *Session) attend(i int, qkv *torch.Tensor) *torch.Tensor {
	c, r := s.d.Config, qkv.Dim(0)
	x := qkv.View(r, 3, c.Heads, 1, c.Width/c.Heads) // [R, 3C] -> [R, 3, H, 1, D]
	kv := x.Narrow(1, 1, 2)                          // [R, 2, H, 1, D]
	if old := s.past[i]; old != nil {
		kv = torch.Cat(3, old, kv)
		old.Free()
	}
	kv = kv.Contiguous().Keep()
	s.past[i] = kv
	return s.d.attend(x.Select(1, 0).Select(2, 0), kv.Select(1, 0), kv.Select(1, 1))
}

func ints(v []int32) *torch.Tensor {
	wide := make([]int64, len(v))
	for i, x := range v {
		wide[i] = int64(x)
	}
	return torch.FromSlice(wide)
}
