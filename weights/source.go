package weights

import (
	"fmt"
	"maps"
	"slices"
)

// Memory is a Source over tensors that the caller holds.
type Memory struct {
	tensors []NamedTensor
	index   map[string]int
	meta    map[string]string
}

// NewMemory returns a Source over the given tensors, in their order; it shares their bytes. Each tensor must be valid
// and each name must occur once. The metadata may be nil.
func NewMemory(tensors []NamedTensor, metadata map[string]string) (*Memory, error) {
	m := &Memory{tensors: slices.Clone(tensors), index: make(map[string]int, len(tensors)), meta: map[string]string{}}
	maps.Copy(m.meta, metadata)
	for i, t := range m.tensors {
		if err := t.Validate(); err != nil {
			return nil, err
		}
		if _, dup := m.index[t.Name]; dup {
			return nil, fmt.Errorf("tensor %q: given twice", t.Name)
		}
		m.index[t.Name] = i
	}
	return m, nil
}

// Names returns the names in the order of the tensors.
func (m *Memory) Names() []string {
	names := make([]string, len(m.tensors))
	for i, t := range m.tensors {
		names[i] = t.Name
	}
	return names
}

// Tensor returns a tensor by its name.
func (m *Memory) Tensor(name string) (NamedTensor, error) {
	i, ok := m.index[name]
	if !ok {
		return NamedTensor{}, fmt.Errorf("tensor %q: %w", name, ErrNotFound)
	}
	t := m.tensors[i]
	t.Shape = slices.Clone(t.Shape)
	return t, nil
}

// Metadata returns a copy of the metadata.
func (m *Memory) Metadata() map[string]string { return maps.Clone(m.meta) }

// Close does nothing: the bytes belong to whoever gave them.
func (m *Memory) Close() error { return nil }

// Renamed shows a Source under other names: the layout of one checkpoint as the keys of another.
type Renamed struct {
	Source
	names []string
	under map[string]string // new name -> name in Source
}

// Rename returns a view of src in which each tensor has the name that rename gives it; rename returns false for a
// tensor to leave out. Two tensors that would get the same name are an error. The view owns src: closing it closes src.
func Rename(src Source, rename func(name string) (string, bool)) (*Renamed, error) {
	r := &Renamed{Source: src, under: map[string]string{}}
	for _, old := range src.Names() {
		name, keep := rename(old)
		if !keep {
			continue
		}
		if first, dup := r.under[name]; dup {
			return nil, fmt.Errorf("rename tensors: %q and %q both become %q", first, old, name)
		}
		r.under[name] = old
		r.names = append(r.names, name)
	}
	return r, nil
}

// Names returns the new names, in the order of the underlying source.
func (r *Renamed) Names() []string { return slices.Clone(r.names) }

// Tensor returns a tensor by its new name.
func (r *Renamed) Tensor(name string) (NamedTensor, error) { return r.get(name, Source.Tensor) }

// Describe returns type and shape of a tensor by its new name.
func (r *Renamed) Describe(name string) (NamedTensor, error) { return r.get(name, Describe) }

func (r *Renamed) get(name string, get func(Source, string) (NamedTensor, error)) (NamedTensor, error) {
	old, ok := r.under[name]
	if !ok {
		return NamedTensor{}, fmt.Errorf("tensor %q: %w", name, ErrNotFound)
	}
	t, err := get(r.Source, old)
	t.Name = name
	return t, err
}

// All returns every tensor of a source, in its order.
func All(src Source) ([]NamedTensor, error) {
	names := src.Names()
	tensors := make([]NamedTensor, 0, len(names))
	for _, name := range names {
		t, err := src.Tensor(name)
		if err != nil {
			return nil, err
		}
		tensors = append(tensors, t)
	}
	return tensors, nil
}
