package nn

import (
	"fmt"
	"reflect"
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
