// Package safetensors reads and writes safetensors files: a JSON header with names, dtypes, shapes and offsets, then
// the raw bytes of the tensors. Reading copies no tensor: Data aliases the memory map of Open or the bytes given to
// Parse.
//
// A file is checked completely when it is opened, and one that the format does not allow is refused with a
// *FormatError: duplicate keys, overlapping tensors, bytes that belong to no tensor, sizes that do not fit their shape.
// Element types that the project has no use for (complex, 8-bit floats, unsigned integers above 8 bits) are refused by
// name.
//
// Format: https://huggingface.co/docs/safetensors (8 bytes little-endian header length, header, data).
package safetensors

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"sync/atomic"

	"captioner/weights"
)

// FormatError reports that a file is not a safetensors file that this package reads.
type FormatError = weights.FormatError

// File is an open safetensors file. It is safe for concurrent use, except that Close must come last.
type File struct {
	entries []entry // in the order of their data
	index   map[string]int
	meta    map[string]string
	data    []byte // what follows the header
	mapping *weights.Mapping
	closed  atomic.Bool
}

var _ weights.Source = (*File)(nil)

// Open maps a file and checks its header; no tensor is read. The file must be closed, and no tensor of it used after
// that.
func Open(path string) (*File, error) {
	var f *File
	m, err := weights.MapFile(path, func(b []byte) (err error) {
		f, err = Parse(b)
		return err
	})
	if err != nil {
		return nil, err
	}
	f.mapping = m
	return f, nil
}

// Parse reads a whole file that is in memory. The tensors alias b, which must not change while they are used.
func Parse(b []byte) (*File, error) {
	f, err := parse(b)
	if err != nil {
		return nil, &FormatError{Format: "safetensors", Msg: err.Error()}
	}
	return f, nil
}

// Names returns the names of all tensors in the order of their data in the file.
func (f *File) Names() []string {
	names := make([]string, len(f.entries))
	for i, e := range f.entries {
		names[i] = e.name
	}
	return names
}

// Tensor returns a tensor whose Data aliases the file; only where another writer left it unaligned to its element size
// is it a copy.
func (f *File) Tensor(name string) (weights.NamedTensor, error) {
	if f.closed.Load() {
		return weights.NamedTensor{}, fmt.Errorf("tensor %q: %w", name, os.ErrClosed)
	}
	i, ok := f.index[name]
	if !ok {
		return weights.NamedTensor{}, fmt.Errorf("tensor %q: %w", name, weights.ErrNotFound)
	}
	e := f.entries[i]
	t := weights.NamedTensor{Name: e.name, DType: e.dtype, Shape: slices.Clone(e.shape)}
	t.Data, t.Held = weights.Aligned(f.data[e.begin:e.end:e.end], e.dtype.Size())
	return t, nil
}

// Metadata returns a copy of the file's metadata, empty if it has none.
func (f *File) Metadata() map[string]string { return maps.Clone(f.meta) }

// Close releases the memory map; every Data handed out is invalid from then on. It does nothing for a parsed File but
// make Tensor fail.
func (f *File) Close() error {
	if f.closed.Swap(true) || f.mapping == nil {
		return nil
	}
	return f.mapping.Close()
}
