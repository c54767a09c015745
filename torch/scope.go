package torch

import "sync/atomic"

// scope owns the tensors made while it is the innermost one. Scopes nest; only the torch thread touches them.
type scope struct {
	parent *scope
	owned  []*Tensor // holes (nil) are tensors that were freed early, kept or moved out
}

var (
	current *scope
	live    atomic.Int64
	spare   []*scope // closed scopes, for their slices
)

// Live is the number of tensor handles that exist now, in all scopes and kept. Safe from any goroutine.
func Live() int64 { return live.Load() }

func enter() *scope {
	var s *scope
	if n := len(spare); n > 0 {
		s, spare = spare[n-1], spare[:n-1]
	} else {
		s = new(scope)
	}
	s.parent = current
	current = s
	return s
}

// leave frees what s still owns, last made first, and those of inner scopes that a panic left open.
func (s *scope) leave() {
	for outer := s.parent; current != outer; {
		c := current
		for i := len(c.owned) - 1; i >= 0; i-- {
			if t := c.owned[i]; t != nil {
				t.scope = nil
				t.release()
			}
		}
		clear(c.owned)
		c.owned = c.owned[:0]
		current = c.parent
		c.parent = nil
		spare = append(spare, c)
	}
}

func (s *scope) add(t *Tensor) {
	t.scope, t.index = s, len(s.owned)
	s.owned = append(s.owned, t)
}

// resetThread closes every scope after the torch goroutine was ended from inside.
func resetThread() {
	if current != nil {
		root := current
		for root.parent != nil {
			root = root.parent
		}
		root.leave()
	}
}

// Scoped runs f in a nested scope: what its ops return is freed at its end, unless kept.
func Scoped(f func()) {
	s := enter()
	defer s.leave()
	f()
}

// Tidy runs f in a nested scope and hands the tensors that it returns to the enclosing one; all others made in f are
// freed.
func Tidy(f func() []*Tensor) []*Tensor {
	s := enter()
	defer s.leave()
	out := f()
	for _, t := range out {
		if t != nil && t.scope == s {
			s.owned[t.index] = nil
			s.parent.add(t)
		}
	}
	return out
}

// Tidy1 is Tidy for one tensor.
func Tidy1(f func() *Tensor) *Tensor {
	s := enter()
	defer s.leave()
	t := f()
	if t != nil && t.scope == s {
		s.owned[t.index] = nil
		s.parent.add(t)
	}
	return t
}
