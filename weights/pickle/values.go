package pickle

import "iter"

// A pickle's values are, in Go: nil, bool, int64, *big.Int (beyond int64), float64, string, Bytes, *List, Tuple, *Dict,
// *Set, *Tensor, *Storage, Global (a class or function that is named but not called) and *Record (an object of a
// class).

// Bytes is a Python bytes or bytearray object. It may alias the file.
type Bytes []byte

// Tuple is a Python tuple (also torch.Size).
type Tuple []any

// List is a Python list. It is a pointer type because lists may be shared and may contain themselves.
type List struct{ Items []any }

// Set is a Python set or frozenset, in the order of the file.
type Set struct{ Items []any }

// Global names something in a Python module. It is never looked up.
type Global struct{ Module, Name string }

func (g Global) String() string { return g.Module + "." + g.Name }

// Record is an object of a class that this package knows nothing about: what the pickle says about it, and nothing run.
type Record struct {
	Module, Name string
	Args         []any // what the class was created with
	State        any   // what __setstate__ would get: nearly always a *Dict of the attributes
	Items        []any // what was appended, for subclasses of list
	Entries      *Dict // what was set by key, for subclasses of dict; nil if nothing was
}

// Attr returns an attribute from the record's state.
func (r *Record) Attr(name string) (any, bool) {
	d, ok := r.State.(*Dict)
	if !ok {
		if pair, isPair := r.State.(Tuple); isPair && len(pair) == 2 { // attributes and slots
			d, ok = pair[0].(*Dict)
		}
	}
	if !ok || d == nil {
		return nil, false
	}
	return d.Get(name)
}

// Dict is a Python dict or OrderedDict: it keeps the order of insertion.
type Dict struct {
	Ordered bool // an OrderedDict
	Attrs   any  // attributes of the object itself, such as _metadata of a state dict; nearly always nil

	entries []entry
	index   map[any]int // built when there are more than a few keys
}

type entry struct{ key, value any }

const indexFrom = 8

// Len returns the number of entries.
func (d *Dict) Len() int { return len(d.entries) }

// All iterates over the entries in their order.
func (d *Dict) All() iter.Seq2[any, any] {
	return func(yield func(any, any) bool) {
		for _, e := range d.entries {
			if !yield(e.key, e.value) {
				return
			}
		}
	}
}

// Get returns the value of a key; integers are int64. Tuples and bytes are not found as keys, only iterated over.
func (d *Dict) Get(key any) (any, bool) {
	if i := d.find(key); i >= 0 {
		return d.entries[i].value, true
	}
	return nil, false
}

// Set sets the value of a key, keeping its place if it is there already. Keys that Get does not find are always
// appended.
func (d *Dict) Set(key, value any) {
	if i := d.find(key); i >= 0 {
		d.entries[i].value = value
		return
	}
	d.entries = append(d.entries, entry{key, value})
	switch {
	case d.index != nil:
		if indexable(key) {
			d.index[key] = len(d.entries) - 1
		}
	case len(d.entries) > indexFrom:
		d.index = make(map[any]int, 2*indexFrom)
		for i, e := range d.entries {
			if indexable(e.key) {
				d.index[e.key] = i
			}
		}
	}
}

func (d *Dict) find(key any) int {
	if !indexable(key) {
		return -1
	}
	if d.index != nil {
		if i, ok := d.index[key]; ok {
			return i
		}
		return -1
	}
	for i, e := range d.entries {
		if e.key == key { // values of different types are unequal without a look inside, so a Tuple there does no harm
			return i
		}
	}
	return -1
}

// indexable tells which keys Go can compare. Python hashes tuples by content, which a hostile file can make endless.
func indexable(key any) bool {
	switch key.(type) {
	case Tuple, Bytes:
		return false
	}
	return true
}
