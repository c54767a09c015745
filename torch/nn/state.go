package nn

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"captioner/torch"
	"captioner/weights"
)

// Param is one named tensor of a model.
type Param struct {
	Name   string
	Tensor *torch.Tensor
	Buffer bool // stored, not trained
	slot   reflect.Value
}

// State lists the tensors of the model that m points to, in the order of its fields. It panics where m is not a pointer
// to a struct, which is a mistake in the program.
func State(m any) []Param {
	v := reflect.ValueOf(m)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		panic(fmt.Sprintf("nn: state of %T, want a pointer to a struct", m))
	}
	var out []Param
	walk(v.Elem(), "", false, &out)
	return out
}

var tensorType = reflect.TypeFor[*torch.Tensor]()

func walk(v reflect.Value, path string, buffer bool, out *[]Param) {
	switch {
	case v.Type() == tensorType:
		if !v.IsNil() {
			*out = append(*out, Param{Name: path, Tensor: v.Interface().(*torch.Tensor), Buffer: buffer, slot: v})
		}
	case v.Kind() == reflect.Pointer:
		if !v.IsNil() {
			walk(v.Elem(), path, buffer, out)
		}
	case v.Kind() == reflect.Slice, v.Kind() == reflect.Array:
		for i := range v.Len() {
			walk(v.Index(i), join(path, strconv.Itoa(i)), buffer, out)
		}
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			tag, ok := v.Type().Field(i).Tag.Lookup("key")
			if !ok {
				continue
			}
			name, option, _ := strings.Cut(tag, ",")
			walk(v.Field(i), join(path, name), buffer || option == "buffer", out)
		}
	}
}

func join(path, name string) string {
	if path == "" || name == "" {
		return path + name
	}
	return path + "." + name
}

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
	// Device is the wanted device; the zero value means CPU.
	Device torch.Device
	// Own copies even where the source's memory could be shared: for weights that training changes.
	Own bool
	// Map changes a stored tensor before its shape is checked, such as by a transpose; nil for none.
	Map func(weights.NamedTensor) (weights.NamedTensor, error)
}

// Load fills the model that m points to from src, strictly: all missing, unexpected and misshaped names are reported in
// one *weights.KeyError, and the model is left as it was. Shared memory must outlive the model: close src after freeing
// it.
func Load(m any, src weights.Source, o LoadOptions) error {
	if o.DType == 0 {
		o.DType = torch.Float32
	}
	rename := o.Rename
	if rename == nil {
		rename = func(s string) string { return s }
	}
	have := map[string]bool{}
	for _, n := range src.Names() {
		have[n] = true
	}
	state := State(m)
	found := make([]weights.NamedTensor, len(state))
	var bad weights.KeyError
	for i, p := range state {
		name := rename(join(strings.TrimSuffix(o.Prefix, "."), p.Name))
		if !have[name] {
			bad.Missing = append(bad.Missing, name)
			continue
		}
		delete(have, name)
		t, err := src.Tensor(name)
		if err == nil && o.Map != nil {
			t, err = o.Map(t)
		}
		if err != nil {
			return err
		}
		if want := p.Tensor.Shape(); !slices.Equal(t.Shape, want) {
			bad.Misshaped = append(bad.Misshaped, weights.ShapeMismatch{Name: name, Got: t.Shape, Want: want})
		}
		found[i] = t
	}
	for _, n := range src.Names() {
		if have[n] && (o.Prefix == "" || strings.HasPrefix(n, o.Prefix)) && (o.Ignore == nil || !o.Ignore(n)) {
			bad.Unexpected = append(bad.Unexpected, n)
		}
	}
	if len(bad.Missing)+len(bad.Unexpected)+len(bad.Misshaped) > 0 {
		return &bad
	}
	for i, p := range state {
		t := torch.Tidy1(func() *torch.Tensor { return place(found[i], o) })
		p.Tensor.Free()
		p.slot.Set(reflect.ValueOf(t.Keep()))
	}
	return nil
}

// place makes the tensor that the model gets: type and device as asked, memory shared only where nothing had to change
// and Own is false.
func place(n weights.NamedTensor, o LoadOptions) *torch.Tensor {
	t := torch.FromNamed(n, !o.Own)
	d := t.DType()
	if d.IsFloat() && (o.Stored == nil || !o.Stored(n.Name)) {
		d = o.DType
	}
	if d != t.DType() || o.Device != torch.CPU {
		return t.Move(o.Device, d, false)
	}
	return t
}

// Save copies the model's tensors, named with prefix, as they are.
func Save(m any, prefix string) []weights.NamedTensor {
	var out []weights.NamedTensor
	for _, p := range State(m) {
		out = append(out, p.Tensor.Named(join(strings.TrimSuffix(prefix, "."), p.Name)))
	}
	return out
}

// Replace puts t in the place of p's tensor, which is freed; t is kept.
func (p *Param) Replace(t *torch.Tensor) {
	p.Tensor.Free()
	p.Tensor = t.Keep()
	p.slot.Set(reflect.ValueOf(t))
}

// Move puts every tensor of the model on dev, in the place of the one that it had. Tensors that two fields share stay
// shared. It comes before Trainable, and before an optimizer has the tensors.
func Move(m any, dev torch.Device) {
	moved := map[*torch.Tensor]*torch.Tensor{}
	for _, p := range State(m) {
		if p.Tensor.Device() == dev {
			continue
		}
		t := moved[p.Tensor]
		if t == nil {
			t = torch.Tidy1(func() *torch.Tensor { return p.Tensor.Detach().ToDevice(dev) }).Keep()
			moved[p.Tensor] = t
		}
		p.slot.Set(reflect.ValueOf(t))
	}
	for old := range moved {
		old.Free()
	}
}

// Trainable marks every tensor of the model that is not a buffer as a leaf that wants a gradient, and lists them.
func Trainable(m any) []Param {
	var out []Param
	for _, p := range State(m) {
		if !p.Buffer {
			p.Tensor.RequireGrad(true)
			out = append(out, p)
		}
	}
	return out
}

// Count is the number of elements of the model's parameters, buffers left out.
func Count(m any) int64 {
	var n int64
	for _, p := range State(m) {
		if !p.Buffer {
			n += p.Tensor.Numel()
		}
	}
	return n
}

// Free releases every tensor of the model.
func Free(m any) {
	for _, p := range State(m) {
		p.Tensor.Free()
	}
}
