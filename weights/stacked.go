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
func (s *Stacked) Tensor(name string) (NamedTensor, error) { return s.get(name, Source.Tensor) }

// Describe returns type and shape of a tensor by the name that it was added under.
func (s *Stacked) Describe(name string) (NamedTensor, error) { return s.get(name, Describe) }

func (s *Stacked) get(name string, get func(Source, string) (NamedTensor, error)) (NamedTensor, error) {
	parts, ok := s.parts[name]
	if !ok {
		return NamedTensor{}, fmt.Errorf("tensor %q: %w", name, ErrNotFound)
	}
	tensors := make([]NamedTensor, len(parts))
	for i, part := range parts {
		var err error
		if tensors[i], err = get(s.Source, part); err != nil {
			return NamedTensor{}, err
		}
	}
	t, err := stack(tensors)
	t.Name = name
	return t, err
}

// stack puts tensors one below the other. The pages of those in a memory map are forgotten.
func stack(tensors []NamedTensor) (NamedTensor, error) {
	a := tensors[0]
	if len(tensors) == 1 {
		return a, nil
	}
	a.Shape = slices.Clone(a.Shape)
	var data [][]byte
	for i, b := range tensors {
		if a.DType != b.DType || len(a.Shape) == 0 || len(a.Shape) != len(b.Shape) ||
			!slices.Equal(a.Shape[1:], b.Shape[1:]) {
			return a, fmt.Errorf("join tensor %q to %q: found %v %v and %v %v, want the same type and width", b.Name, a.Name,
				b.DType, b.Shape, a.DType, a.Shape)
		}
		if i > 0 {
			a.Shape[0] += b.Shape[0]
		}
		data = append(data, b.Data)
	}
	a.Data, a.Held = slices.Concat(data...), false
	for _, b := range data {
		Forget(b)
	}
	return a, nil
}
