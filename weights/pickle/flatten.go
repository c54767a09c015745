package pickle

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
)

// maxDepth is more than any checkpoint nests its objects.
const maxDepth = 256

// flattener walks the object graph and gives each tensor the name of its place: keys, attributes and positions joined
// by dots.
type flattener struct {
	names   []string
	tensors map[string]*Tensor
	onPath  map[any]bool // containers that are being walked, for graphs that contain themselves
	script  *script      // nil if the file is no TorchScript archive
	budget  int          // bytes of names and numbers of visits that are left: shared containers multiply
}

// flatten lists the tensors below root. size is that of the pickle: the work is bounded by it.
func flatten(root any, size int, code *script) (*flattener, error) {
	f := &flattener{script: code, tensors: map[string]*Tensor{}, onPath: map[any]bool{}, budget: 1<<20 + 64*size}
	name := ""
	if _, ok := root.(*Tensor); ok {
		name = "tensor" // a file with nothing else
	}
	return f, f.walk(root, name, 0)
}

func (f *flattener) walk(v any, name string, depth int) error {
	switch x := v.(type) {
	case *Tensor:
		return f.add(x, name)
	case Tuple:
		return f.walkItems(x, name, depth)
	case *List, *Dict, *Record, *Set:
		if f.onPath[x] {
			return nil
		}
		f.onPath[x] = true
		defer delete(f.onPath, x)
	default:
		return nil
	}
	switch x := v.(type) {
	case *List:
		return f.walkItems(x.Items, name, depth)
	case *Dict:
		return f.walkDict(x, name, depth)
	case *Record:
		return f.walkRecord(x, name, depth)
	}
	return nil
}

func (f *flattener) add(t *Tensor, name string) error {
	if have, dup := f.tensors[name]; dup {
		if have == t {
			return nil
		}
		return fmt.Errorf("two tensors with the name %s", shorten(name))
	}
	f.tensors[name] = t
	f.names = append(f.names, name)
	return nil
}

// child walks a value below name. Plain values cost nothing but their visit: a vocabulary has many.
func (f *flattener) child(v any, name, key string, depth int) error {
	f.budget--
	switch v.(type) {
	case *Tensor, Tuple, *List, *Dict, *Record:
	default:
		return f.spent()
	}
	if name != "" {
		key = name + "." + key
	}
	f.budget -= len(key)
	if err := f.spent(); err != nil {
		return err
	}
	if depth >= maxDepth {
		return fmt.Errorf("objects nested more than %d deep", maxDepth)
	}
	return f.walk(v, key, depth+1)
}

func (f *flattener) spent() error {
	if f.budget < 0 {
		return fmt.Errorf("the same objects are nested in each other too often")
	}
	return nil
}

func (f *flattener) walkItems(items []any, name string, depth int) error {
	for i, v := range items {
		if err := f.child(v, name, strconv.Itoa(i), depth); err != nil {
			return err
		}
	}
	return nil
}

func (f *flattener) walkDict(d *Dict, name string, depth int) error {
	for k, v := range d.All() {
		if err := f.child(v, name, keyName(k), depth); err != nil {
			return err
		}
	}
	return nil
}

// keyName is how a key stands in a name. Others than text and numbers are rare, and only say what they are.
func keyName(k any) string {
	switch x := k.(type) {
	case string:
		return x
	case int64:
		return strconv.FormatInt(x, 10)
	case *big.Int:
		return x.String()
	case Global:
		return x.String()
	case bool:
		return strconv.FormatBool(x)
	case float64:
		return strconv.FormatFloat(x, 'g', -1, 64)
	}
	return "<" + describe(k) + ">"
}

// walkRecord gives a module's tensors the names of its state dict, and any other object's those of its attributes.
func (f *flattener) walkRecord(r *Record, name string, depth int) error {
	if isModule(r) {
		return f.walkModule(r, name, depth)
	}
	if isScript(r) {
		if tensors, ok := f.script.tensors(Global{r.Module, r.Name}); ok {
			return f.walkScript(r, tensors, name, depth)
		}
	}
	state := r.State
	if pair, ok := state.(Tuple); ok && len(pair) == 2 { // attributes and slots
		if _, ok := pair[0].(*Dict); ok {
			state = pair[0]
		}
	}
	switch s := state.(type) {
	case *Dict:
		if err := f.walkDict(s, name, depth); err != nil {
			return err
		}
	default:
		if err := f.child(s, name, "state", depth); err != nil {
			return err
		}
	}
	if r.Entries != nil {
		if err := f.walkDict(r.Entries, name, depth); err != nil {
			return err
		}
	}
	if err := f.walkItems(r.Items, name, depth); err != nil {
		return err
	}
	return f.child(Tuple(r.Args), name, "args", depth)
}

// walkScript names the parameters and buffers of a TorchScript object, and the objects in it.
func (f *flattener) walkScript(r *Record, tensors []string, name string, depth int) error {
	attrs, ok := r.State.(*Dict)
	if !ok {
		return nil
	}
	for k, v := range attrs.All() {
		switch v.(type) {
		case *Record:
		case *Tensor:
			if k, ok := k.(string); !ok || !slices.Contains(tensors, k) {
				continue
			}
		default:
			continue
		}
		if err := f.child(v, name, keyName(k), depth); err != nil {
			return err
		}
	}
	return nil
}

// isModule recognizes an nn.Module by the attributes that all of them have.
func isModule(r *Record) bool {
	for _, name := range []string{"_parameters", "_modules"} {
		v, _ := r.Attr(name)
		if _, ok := v.(*Dict); !ok {
			return false
		}
	}
	return true
}

// walkModule names parameters, persistent buffers and submodules as Module.state_dict does, in its order.
func (f *flattener) walkModule(r *Record, name string, depth int) error {
	skip := map[any]bool{}
	if v, ok := r.Attr("_non_persistent_buffers_set"); ok {
		if s, ok := v.(*Set); ok {
			for _, b := range s.Items {
				if b, ok := b.(string); ok {
					skip[b] = true
				}
			}
		}
	}
	for _, part := range []string{"_parameters", "_buffers", "_modules"} {
		v, _ := r.Attr(part)
		d, ok := v.(*Dict)
		if !ok {
			continue
		}
		for k, v := range d.All() {
			if part == "_buffers" && indexable(k) && skip[k] {
				continue
			}
			if err := f.child(v, name, keyName(k), depth); err != nil {
				return err
			}
		}
	}
	return nil
}
