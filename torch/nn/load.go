package nn

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"captioner/torch"
	"captioner/weights"
)

// LoadOptions say how Load takes tensors out of a source. The zero value loads every tensor of the model by its own
// name, converted to float32, on CPU, sharing the source's memory where the type is right.
type LoadOptions struct {
	// Prefix is put before every name of the model.
	Prefix string
	// Rename turns the model's name (with Prefix) into the source's; nil for none.
	Rename func(name string) string
	// Ignore says which names of the source the model may leave unread; nil: none but those outside Prefix.
	Ignore func(name string) bool
	// DType is the wanted floating-point type; the zero value means float32.
	DType torch.DType
	// Stored says which names of the source keep the floating-point type that they have, whatever DType says; nil: none.
	Stored func(name string) bool
	// Half says which names of the source are rounded to float16 before anything else; nil: none.
	Half func(name string) bool
	// Device is the wanted device; the zero value means CPU.
	Device torch.Device
	// Own copies even where the source's memory could be shared: for weights that training changes.
	Own bool
	// Once says that the model is there to be laid out and freed: a weight that is not in the source's memory is freed as
	// soon as it is laid out (torch.Tensor.Once).
	Once bool
}

// AsStored leaves all weights in the floating-point type of their file: a layer converts them one by one as it packs
// them, so that no whole copy of them is made on the way.
func (o LoadOptions) AsStored() LoadOptions {
	o.Stored = func(string) bool { return true }
	return o
}

// Below loads what the source names below prefix.
func (o LoadOptions) Below(prefix string) LoadOptions {
	o.Prefix = prefix
	return o
}

// Load fills the model that m points to from src, strictly: all missing, unexpected and misshaped names are reported in
// one *weights.KeyError; numbers that are not finite are a *weights.NotFiniteError. After an error the model is as it
// was. Shared memory must outlive the model: close src after
// freeing it.
//
// Tensors are made one by one: of those that the source has to compute, one is in memory beside what the model gets.
func Load(m any, src weights.Source, o LoadOptions) error {
	state := State(m)
	names, err := o.match(state, src)
	if err != nil {
		return err
	}
	torch.Scoped(func() {
		tensors := make([]*torch.Tensor, len(state))
		for i, name := range names {
			var t weights.NamedTensor
			if t, err = src.Tensor(name); err != nil {
				return
			}
			if err = t.CheckFinite(); err != nil {
				return
			}
			tensors[i] = torch.Tidy1(func() *torch.Tensor { return place(t, o) })
		}
		for i, p := range state {
			p.Tensor.Free()
			p.slot.Set(reflect.ValueOf(tensors[i].Keep()))
		}
	})
	return err
}

// match finds the name in src of each tensor of the model.
func (o LoadOptions) match(state []Param, src weights.Source) ([]string, error) {
	have := map[string]bool{}
	for _, n := range src.Names() {
		have[n] = true
	}
	names := make([]string, len(state))
	var bad weights.KeyError
	for i, p := range state {
		name := join(strings.TrimSuffix(o.Prefix, "."), p.Name)
		if o.Rename != nil {
			name = o.Rename(name)
		}
		if !have[name] {
			bad.Missing = append(bad.Missing, name)
			continue
		}
		delete(have, name)
		t, err := weights.Describe(src, name)
		if err != nil {
			return nil, err
		}
		if p.Tensor.DType().IsFloat() && !t.DType.Float() {
			return nil, &NotFloatError{Name: name, Found: t.DType}
		}
		if want := p.Tensor.Shape(); !slices.Equal(t.Shape, want) {
			bad.Misshaped = append(bad.Misshaped, weights.ShapeMismatch{Name: name, Got: t.Shape, Want: want})
		}
		names[i] = name
	}
	for _, n := range src.Names() {
		if have[n] && (o.Prefix == "" || strings.HasPrefix(n, o.Prefix)) && (o.Ignore == nil || !o.Ignore(n)) {
			bad.Unexpected = append(bad.Unexpected, n)
		}
	}
	return names, bad.Err()
}

// A NotFloatError says that weights are whole numbers, as programs leave them that quantize.
type NotFloatError struct {
	Name  string
	Found weights.DType
}

func (e *NotFloatError) Error() string {
	return fmt.Sprintf("tensor %q: found numbers of the type %v, want floating-point ones", e.Name, e.Found)
}

// Hint says what to do about it.
func (*NotFloatError) Hint() string {
	return "the weights are quantized: take the model that they were made from"
}

// place makes the tensor that the model gets: type and device as asked, memory shared only where nothing had to change
// and Own is false.
func place(n weights.NamedTensor, o LoadOptions) *torch.Tensor {
	t := torch.FromNamed(n, !o.Own)
	stored := t.DType()
	d := stored
	if d.IsFloat() && o.Half != nil && o.Half(n.Name) {
		d = torch.Float16
		t = t.To(d)
	}
	if d.IsFloat() && (o.Stored == nil || !o.Stored(n.Name)) {
		if d = o.DType; d == 0 {
			d = torch.Float32
		}
	}
	if d != t.DType() || o.Device != torch.CPU {
		t = t.Move(o.Device, d, false)
	}
	if shared := n.Held && !o.Own && d == stored && o.Device == torch.CPU; shared {
		return t
	}
	weights.Forget(n.Data)
	if o.Once {
		return t.Once()
	}
	return t
}
