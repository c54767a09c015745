package transformer

import (
	"fmt"
	"math"

	"captioner/torch"
)

// Session generates texts for the pictures of one batch, a token a step, with a cache of keys and values. A Session is for one goroutine, inside
// torch.Do; Free ends it.
type Session struct {
	m    *Model
	max  int64
	t    int64           // tokens fed to each row so far
	seen *torch.Tensor   // [layers, rows, C]: what each layer's cross-attention gives
	past []*torch.Tensor // a layer: keys and values [rows, 2, H, t, D]; nil before the first step
}

// Start begins texts of at most maxLen tokens over the memory [G, 1, C]. The softmax over its one position is 1 whatever the text asks, so a
// layer's cross-attention is the projected value.
func (m *Model) Start(memory *torch.Tensor, images, _, maxLen int) (*Session, error) {
	if memory == nil || memory.Rank() != 3 || memory.Dim(0) != int64(images) || memory.Dim(1) != 1 || memory.Dim(2) != m.Config.Width {
		return nil, fmt.Errorf("start decoding: want a memory of shape [%d, 1, %d]", images, m.Config.Width)
	}
	if maxLen < 1 || int64(maxLen) > m.Config.Positions {
		return nil, fmt.Errorf("start decoding: found texts of %d tokens, want 1 to the %d positions", maxLen, m.Config.Positions)
	}
	s := &Session{m: m, max: int64(maxLen), past: make([]*torch.Tensor, len(m.Layers))}
	torch.Scoped(func() {
		x := m.Norm.Forward(memory.Select(1, 0).To(torch.Float32).Contiguous()) // [G, C]
		c := m.Config.Width
		var seen []*torch.Tensor
		for i := range m.Layers {
			a := &m.Layers[i].Cross
			v := torch.Linear(x, a.QKV.Narrow(0, 2*c, c), a.Bias.Narrow(0, 2*c, c))
			seen = append(seen, a.Out.Forward(v))
		}
		s.seen = torch.Stack(0, seen...).Keep() // [layers, G, C]
	})
	return s, nil
}

// Free releases the cache.
func (s *Session) Free() {
	s.seen.Free()
	for _, p := range s.past {
		p.Free()
	}
}

// Step feeds tokens[r] to row r, which continues row parents[r] of the step before (nil at the first step: one row an image), and gives for each
// row its k best next tokens, best first, with their log-probabilities. ban lists tokens that a row must not return. Both results are [rows*k].
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
	rows := int(s.seen.Dim(1))
	for _, p := range parents {
		if p < 0 || int(p) >= rows {
			return nil, fmt.Errorf("decoder step %d: found the parent %d, want one of %d rows", s.t, p, rows)
		}
	}
	if want := len(tokens); parents != nil && len(parents) != want || parents == nil && rows != want {
		return nil, fmt.Errorf("decoder step %d: found %d tokens for %d rows", s.t, len(tokens), max(rows, len(parents)))
	}
	return torch.Tidy1(func() *torch.Tensor {
		if parents != nil {
			s.follow(parents)
		}
		x := s.m.embed(ints(tokens).ToDevice(s.seen.Device()), s.t) // [R, C]
		for i := range s.m.Layers {
			x = torch.Tidy1(func() *torch.Tensor { return s.layer(i, x) })
		}
		s.t++
		return s.m.Project.Forward(x)
	}), nil
}

// follow puts the cache into the order of the step.
func (s *Session) follow(parents []int32) {
	index := ints(parents).ToDevice(s.seen.Device())
	take := func(x **torch.Tensor, d int64) {
		old := *x
		*x = old.IndexSelect(d, index).Keep()
		old.Free()
	}
	take(&s.seen, 1)
	for i := range s.past {
		take(&s.past[i], 0)
	}
}

// layer runs one layer on one token a row, x [R, C].
func (s *Session) layer(i int, x *torch.Tensor) *torch.Tensor {
	l := &s.m.Layers[i]
	x = l.Norm1.Forward(x.Add(s.attend(i, x)))
	x = l.Norm2.Forward(x.Add(s.seen.Select(0, int64(i))))
	return l.Norm3.Forward(x.Add(l.Down.Forward(l.Up.Forward(x).Relu())))
}

// attend is softmax(q kᵀ/√D) v over the texts so far: [R, C].
func (s *Session) attend(i int, x *torch.Tensor) *torch.Tensor {
	a, c := &s.m.Layers[i].Self, s.m.Config
	r, d := x.Dim(0), c.Width/c.Heads
	qkv := torch.Linear(x, a.QKV, a.Bias).View(r, 3, c.Heads, 1, d) // [R, 3C] -> [R, 3, H, 1, D]
	kv := qkv.Narrow(1, 1, 2)                                       // [R, 2, H, 1, D]
	if old := s.past[i]; old != nil {
		kv = torch.Cat(3, old, kv)
		old.Free()
	}
	kv = kv.Contiguous().Keep()
	s.past[i] = kv
	q := qkv.Select(1, 0).MulScalar(1 / math.Sqrt(float64(d)))                           // [R, H, 1, D]
	y := q.Matmul(kv.Select(1, 0).Transpose(-1, -2)).Softmax(-1).Matmul(kv.Select(1, 1)) // [R, H, 1, D]
	return a.Out.Forward(y.Reshape(r, c.Width))
}

func ints(v []int32) *torch.Tensor {
	wide := make([]int64, len(v))
	for i, x := range v {
		wide[i] = int64(x)
	}
	return torch.FromSlice(wide)
}
