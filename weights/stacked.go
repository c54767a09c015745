package weights

import (
	"fmt"
	"slices"
)

// Stacked shows tensors of a source under other names, some of them made of several: a checkpoint that keeps queries,
// keys and values apart has them in one. The view owns its source.
type Stacked struct {
	Source
	names []string
	parts map[string][]string // our name -> the tensors that it is made of
}

// NewStacked shows nothing of src yet.
func NewStacked(src Source) *Stacked { return &Stacked{Source: src, parts: map[string][]string{}} }

// Add shows a tensor under a name: the tensors of the source that parts name, one below the other along the first
// dimension. A name that was added keeps its place.
func (s *Stacked) Add(name string, parts ...string) {
	if s.parts[name] == nil {
		s.names = append(s.names, name)
	}
	s.parts[name] = parts
}

// Names returns the names that were added, in their order.
func (s *Stacked) Names() []string { return slices.Clone(s.names) }

// Tensor returns a tensor by the name that it was added under. One of several parts owns its bytes.
func (s *Stacked) Tensor(name string) (NamedTensor, error) {
	parts, ok := s.parts[name]
	if !ok {
		return NamedTensor{}, fmt.Errorf("tensor %q: %w", name, ErrNotFound)
	}
	t, err := s.Source.Tensor(parts[0])
	if err != nil {
		return NamedTensor{}, err
	}
	for _, part := range parts[1:] {
		next, err := s.Source.Tensor(part)
		if err != nil {
			return NamedTensor{}, err
		}
		if t, err = stack(t, next); err != nil {
			return NamedTensor{}, err
		}
	}
	t.Name = name
	return t, nil
}

// stack puts b below a.
func stack(a, b NamedTensor) (NamedTensor, error) {
	if a.DType != b.DType || len(a.Shape) == 0 || len(a.Shape) != len(b.Shape) || !slices.Equal(a.Shape[1:], b.Shape[1:]) {
		return a, fmt.Errorf("join tensor %q to %q: found %v %v and %v %v, want the same type and width", b.Name, a.Name,
			b.DType, b.Shape, a.DType, a.Shape)
	}
	a.Shape = slices.Clone(a.Shape)
	a.Shape[0] += b.Shape[0]
	a.Data, a.Held = slices.Concat(a.Data, b.Data), false
	return a, nil
}
