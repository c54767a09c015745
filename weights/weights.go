// Package weights holds what every reader and writer of model weights shares: a named tensor as raw bytes, the Source
// that hands such tensors out, the error for keys that do not fit a model, and safe writing and mapping of files.
//
// It knows no file format (see weights/safetensors and weights/pickle) and no tensor library: a tensor here is a name,
// a dtype, a shape and little-endian bytes in row-major order. It does no arithmetic beyond converting between
// floating-point widths.
package weights

import (
	"errors"
	"fmt"
	"math/bits"
)

// Keys of the metadata of a model file. All three values are text; a reader that does not know them can ignore them.
const (
	MetaConfig    = "captioner.config"    // encoder, memory, decoder and preprocessing as JSON
	MetaTokenizer = "captioner.tokenizer" // Hugging Face tokenizer.json
	MetaCard      = "captioner.card"      // data, metrics with their command, licence, origin, as JSON
)

// ErrNotFound is wrapped by the error of Source.Tensor for a name that the source does not hold.
var ErrNotFound = errors.New("no such tensor")

// NamedTensor is one tensor of a file.
type NamedTensor struct {
	Name  string
	DType DType
	Shape []int64 // empty for a single value
	// Data holds the elements, row-major and little-endian. It may alias a memory map that its Source owns: then it is
	// valid until the Source is closed. Writing to it never changes the file. A Source aligns it to the size of an
	// element.
	Data []byte
	// Held says that the Source holds Data until it is closed: Data lies in its map, or in the bytes that it was given.
	// Data that is not held is a copy made for the caller, and gone when nothing in Go refers to it any more: memory
	// outside Go must not alias it.
	Held bool
}

// Source gives out the tensors of one file. Implementations are safe for concurrent reads; Close must come after all of
// them.
type Source interface {
	Names() []string                         // in the file's own order; the caller may change the slice
	Tensor(name string) (NamedTensor, error) // wraps ErrNotFound for a name that Names does not list
	Metadata() map[string]string             // never nil; the caller may change the map
	Close() error                            // ends the validity of every Data handed out; a second Close does nothing
}

// Elements returns the number of elements of a shape, 1 for an empty one. It refuses negative sizes and products that
// do not fit in an int64, so the result may be trusted where the shape comes from a file.
func Elements(shape []int64) (int64, error) {
	n, overflow := uint64(1), false
	empty := false
	for _, d := range shape {
		if d < 0 {
			return 0, fmt.Errorf("shape %v: negative size %d", shape, d)
		}
		if d == 0 {
			empty = true
			continue
		}
		hi, lo := bits.Mul64(n, uint64(d))
		if hi != 0 || lo > 1<<63-1 {
			overflow, lo = true, 1
		}
		n = lo
	}
	if empty {
		return 0, nil
	}
	if overflow {
		return 0, fmt.Errorf("shape %v: more elements than an int64 can count", shape)
	}
	return int64(n), nil
}

// ByteSize returns the number of bytes of a tensor, refusing what Elements refuses and sizes that do not fit in an
// int64.
func ByteSize(d DType, shape []int64) (int64, error) {
	if d.Size() == 0 {
		return 0, fmt.Errorf("dtype %v: unknown", d)
	}
	n, err := Elements(shape)
	if err != nil {
		return 0, err
	}
	hi, lo := bits.Mul64(uint64(n), uint64(d.Size()))
	if hi != 0 || lo > 1<<63-1 {
		return 0, fmt.Errorf("shape %v of %v: more bytes than an int64 can count", shape, d)
	}
	return int64(lo), nil
}

// Validate reports whether dtype, shape and the length of Data agree.
func (t NamedTensor) Validate() error {
	n, err := ByteSize(t.DType, t.Shape)
	if err != nil {
		return fmt.Errorf("tensor %q: %w", t.Name, err)
	}
	if int64(len(t.Data)) != n {
		return fmt.Errorf("tensor %q: %d bytes of data, want %d for shape %v of %v", t.Name, len(t.Data), n, t.Shape, t.DType)
	}
	return nil
}
