package weights

// Describer is a Source some of whose tensors have to be computed.
type Describer interface {
	Source
	// Describe is Tensor without Data, which is not computed.
	Describe(name string) (NamedTensor, error)
}

// Describe returns type and shape of a tensor of src, without its Data.
func Describe(src Source, name string) (NamedTensor, error) {
	t, err := NamedTensor{}, error(nil)
	if d, ok := src.(Describer); ok {
		t, err = d.Describe(name)
	} else {
		t, err = src.Tensor(name)
	}
	t.Data, t.Held = nil, false
	return t, err
}
