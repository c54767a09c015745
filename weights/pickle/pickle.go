// Package pickle reads the files that Python's torch.save, torch.jit.save and pickle write, and never runs anything in
// them: there is no Python here to call, and a file that asks for a call of anything but constructors of tensors and
// plain objects is refused with a *RefusedError. It also writes files that torch.load(weights_only=True) reads.
//
// Read are zip archives (PyTorch 1.6 and later), legacy streams (before), TorchScript archives (their parameters and
// buffers; their code is not run), the two in one archive that clip-text-decoder 1.0.0 saves, and bare pickles. Objects
// of unknown classes become plain records. Tensors alias the file as long as they are contiguous in it.
//
// Refused, each with one clear error: big-endian files, compressed archives, the tar format of before 2016. Tensors of
// complex, quantised, sparse or 8-bit float types can be listed, but not read.
//
// Memory: what opening takes is bounded by a multiple of the size of the pickle itself, whatever it claims.
package pickle

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"os"
	"slices"
	"strconv"
	"sync/atomic"

	"captioner/weights"
)

// File is an open checkpoint. It is safe for concurrent use, except that Close must come last.
type File struct {
	// Root is what torch.load would return, as values of this package (see Bytes to Record). Its Bytes alias the file.
	Root any

	names   []string
	tensors map[string]*Tensor
	meta    map[string]string
	limit   int64 // for copies of tensors that repeat elements
	mapping *weights.Mapping
	closed  atomic.Bool
}

var _ weights.Source = (*File)(nil)

// Open maps a file and reads its pickle; no tensor is read. The file must be closed, and no tensor of it used after
// that.
func Open(path string) (*File, error) {
	var f *File
	m, err := weights.MapFile(path, func(b []byte) (err error) {
		if f, err = load(b); err != nil {
			return typed(err, path)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	f.mapping = m
	return f, nil
}

// Parse reads a whole file that is in memory. Tensors alias b, which must not change while they are used.
func Parse(b []byte) (*File, error) {
	f, err := load(b)
	if err != nil {
		return nil, typed(err, "")
	}
	return f, nil
}

func load(b []byte) (*File, error) {
	if len(b) == 0 {
		return nil, errors.New("the file is empty")
	}
	if len(b) > 262 && string(b[257:262]) == "ustar" {
		return nil, errors.New("the tar format of PyTorch before 0.1.10 is not supported")
	}
	var root any
	var size int
	var code *script
	var err error
	if bytes.HasPrefix(b, zipMagic) {
		a, failed := openArchive(b)
		if failed != nil {
			return nil, failed
		}
		if a.pair {
			return parsePair(b, a)
		}
		code = newScript(a)
		root, size, err = loadArchive(a)
	} else {
		root, size, err = loadStream(newMachine(b, innerStream))
	}
	if err != nil {
		return nil, err
	}
	flat, err := flatten(root, size, code)
	if err != nil {
		return nil, err
	}
	return newFile(b, root, flat), nil
}

// parsePair lists the tensors of the model alone.
func parsePair(b []byte, a *archive) (*File, error) {
	root, inner, size, err := loadPair(a)
	if err != nil {
		return nil, err
	}
	model, _ := root.Get("model")
	tensors := &Dict{}
	tensors.Set("model", model)
	flat, err := flatten(tensors, size, newScript(inner))
	if err != nil {
		return nil, err
	}
	return newFile(b, root, flat), nil
}

func newFile(b []byte, root any, flat *flattener) *File {
	const least = 1 << 20 // small files may repeat elements, too
	return &File{Root: root, names: flat.names, tensors: flat.tensors, meta: scalars(root),
		limit: max(least, int64(len(b)))}
}

// Names returns the names of all tensors in the order of the file: keys, attributes and positions joined by dots, as in
// "state_dict.visual.conv1.weight". A pickled nn.Module gives the names of its state dict. A file that is one bare
// tensor calls it "tensor".
func (f *File) Names() []string { return slices.Clone(f.names) }

// Tensor returns a tensor by its name. Data aliases the file, except for strided and unaligned tensors, which are
// copied at each call.
func (f *File) Tensor(name string) (weights.NamedTensor, error) {
	if f.closed.Load() {
		return weights.NamedTensor{}, fmt.Errorf("tensor %q: %w", name, os.ErrClosed)
	}
	t, ok := f.tensors[name]
	if !ok {
		return weights.NamedTensor{}, fmt.Errorf("tensor %q: %w", name, weights.ErrNotFound)
	}
	data, held, err := t.data(f.limit)
	if err != nil {
		return weights.NamedTensor{}, fmt.Errorf("tensor %q: %w", name, err)
	}
	return weights.NamedTensor{Name: name, DType: t.DType, Shape: slices.Clone(t.Shape), Data: data, Held: held}, nil
}

// Metadata returns the plain values at the top of the file as text, such as "epoch" and "pytorch-lightning_version".
func (f *File) Metadata() map[string]string { return maps.Clone(f.meta) }

func scalars(root any) map[string]string {
	meta := map[string]string{}
	d, ok := root.(*Dict)
	if !ok {
		return meta
	}
	for k, v := range d.All() {
		key, ok := k.(string)
		if !ok {
			continue
		}
		switch x := v.(type) {
		case string:
			meta[key] = x
		case int64, bool, *big.Int:
			meta[key] = fmt.Sprint(x)
		case float64:
			meta[key] = strconv.FormatFloat(x, 'g', -1, 64)
		}
	}
	return meta
}

// Ties returns the groups of names whose tensors are one and the same memory, such as an embedding and the output layer
// that shares it. Names are in the order of the file.
func (f *File) Ties() [][]string {
	type view struct {
		at          *byte
		dtype       weights.DType
		shape, step string
	}
	groups := map[view][]string{}
	var order []view
	for _, name := range f.names {
		t := f.tensors[name]
		if n, err := weights.Elements(t.Shape); t.unsupported != "" || err != nil || n == 0 {
			continue
		}
		first := &t.Storage.bytes()[t.Offset*int64(t.DType.Size())]
		v := view{first, t.DType, fmt.Sprint(t.Shape), fmt.Sprint(t.Stride)}
		if groups[v] == nil {
			order = append(order, v)
		}
		groups[v] = append(groups[v], name)
	}
	var ties [][]string
	for _, v := range order {
		if len(groups[v]) > 1 {
			ties = append(ties, groups[v])
		}
	}
	return ties
}

// Close releases the memory map; every Data handed out, and Bytes in Root, are invalid from then on.
func (f *File) Close() error {
	if f.closed.Swap(true) || f.mapping == nil {
		return nil
	}
	return f.mapping.Close()
}
