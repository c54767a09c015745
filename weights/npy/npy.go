// Package npy reads and writes NumPy's .npy files: one array of numbers with its type and shape. Reading copies
// nothing: Data aliases the memory map of Open or the bytes given to Parse.
//
// Refused, each with one clear error: arrays in Fortran's order, big-endian ones, Python objects (which are pickles),
// and element types that package weights does not know.
//
// Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html, versions 1 to 3.
package npy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"

	"captioner/weights"
)

// Name is what the array of a file is called.
const Name = "array"

const magic = "\x93NUMPY"

// FormatError reports that a file is not a .npy file that this package reads.
type FormatError = weights.FormatError

// File is an open file, a Source of one tensor.
type File struct {
	array   weights.NamedTensor
	mapping *weights.Mapping
	closed  atomic.Bool
}

var _ weights.Source = (*File)(nil)

// Is says whether a file that begins with b may be a .npy file.
func Is(b []byte) bool { return strings.HasPrefix(string(b[:min(len(b), len(magic))]), magic) }

// Open maps a file and reads its header. The file must be closed, and its tensor not used after that.
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

// Parse reads a whole file that is in memory. The tensor aliases b, which must not change while it is used.
func Parse(b []byte) (*File, error) {
	t, err := parse(b)
	if err != nil {
		return nil, &FormatError{Format: "npy", Msg: err.Error()}
	}
	return &File{array: t}, nil
}

func parse(b []byte) (weights.NamedTensor, error) {
	t := weights.NamedTensor{Name: Name}
	if !Is(b) || len(b) < 10 {
		return t, errors.New("the file does not begin as a .npy file does")
	}
	size, rest := uint64(binary.LittleEndian.Uint16(b[8:])), b[10:]
	if b[6] > 1 {
		if len(b) < 12 {
			return t, errors.New("the file is cut off in its header")
		}
		size, rest = uint64(binary.LittleEndian.Uint32(b[8:])), b[12:]
	}
	if b[6] < 1 || b[6] > 3 || size > uint64(len(rest)) {
		return t, fmt.Errorf("version %d with a header of %d bytes, want version 1 to 3 and at most the %d bytes of the file",
			b[6], size, len(rest))
	}
	var err error
	if t.DType, t.Shape, err = header(string(rest[:size])); err != nil {
		return t, err
	}
	want, err := weights.ByteSize(t.DType, t.Shape)
	if err != nil {
		return t, err
	}
	if data := rest[size:]; int64(len(data)) != want {
		return t, fmt.Errorf("%d bytes of data, want %d for shape %v of %v", len(data), want, t.Shape, t.DType)
	} else {
		t.Data, t.Held = weights.Aligned(data, t.DType.Size())
	}
	return t, nil
}

// The parts of a header, which is a Python dict in text.
var (
	descrPart   = regexp.MustCompile(`'descr':\s*'([^']*)'`)
	fortranPart = regexp.MustCompile(`'fortran_order':\s*(True|False)`)
	shapePart   = regexp.MustCompile(`'shape':\s*\(([0-9,\s]*)\)`)
)

var types = map[string]weights.DType{"f8": weights.F64, "f4": weights.F32, "f2": weights.F16, "i8": weights.I64,
	"i4": weights.I32,
	"i2": weights.I16, "i1": weights.I8, "u1": weights.U8, "b1": weights.Bool}

func header(s string) (d weights.DType, shape []int64, err error) {
	descr, fortran := descrPart.FindStringSubmatch(s), fortranPart.FindStringSubmatch(s)
	sizes := shapePart.FindStringSubmatch(s)
	switch {
	case descr == nil || fortran == nil || sizes == nil:
		return 0, nil, errors.New("a header without descr, fortran_order and shape")
	case fortran[1] == "True" && strings.Count(strings.TrimRight(sizes[1], ", "), ",") > 0:
		return 0, nil, errors.New("an array in Fortran's order, want numpy.ascontiguousarray of it")
	}
	order, name := descr[1][:min(1, len(descr[1]))], descr[1][min(1, len(descr[1])):]
	d = types[name]
	if d == 0 || order == ">" && d.Size() > 1 {
		return 0, nil, fmt.Errorf("elements of type %q, want little-endian numbers such as <f4", descr[1])
	}
	shape = []int64{}
	for _, part := range strings.Split(sizes[1], ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		n, err := strconv.ParseInt(part, 10, 64)
		if err != nil {
			return 0, nil, fmt.Errorf("a size of %s, want less than 2^63", part)
		}
		shape = append(shape, n)
	}
	return d, shape, nil
}

// Names returns Name.
func (f *File) Names() []string { return []string{Name} }

// Tensor returns the array.
func (f *File) Tensor(name string) (weights.NamedTensor, error) {
	if f.closed.Load() {
		return weights.NamedTensor{}, fmt.Errorf("tensor %q: %w", name, os.ErrClosed)
	}
	if name != Name {
		return weights.NamedTensor{}, fmt.Errorf("tensor %q: %w", name, weights.ErrNotFound)
	}
	t := f.array
	t.Shape = append([]int64{}, t.Shape...)
	return t, nil
}

// Metadata returns an empty map: the format has none.
func (f *File) Metadata() map[string]string { return map[string]string{} }

// Close releases the memory map.
func (f *File) Close() error {
	if f.closed.Swap(true) || f.mapping == nil {
		return nil
	}
	return f.mapping.Close()
}

// Header is what stands before the data of an array, padded so that the data begin at a multiple of 64 bytes.
func Header(d weights.DType, shape []int64) ([]byte, error) {
	name := ""
	for n, known := range types {
		if known == d {
			name = n
		}
	}
	if name == "" {
		return nil, fmt.Errorf("npy: elements of type %v, want one that NumPy has", d)
	}
	order := "<"
	if d.Size() == 1 {
		order = "|"
	}
	sizes := ""
	for i, n := range shape {
		if sizes += strconv.FormatInt(n, 10); i == 0 || i < len(shape)-1 {
			sizes += ", "
		}
	}
	if len(shape) == 1 {
		sizes = strings.TrimSuffix(sizes, " ")
	}
	text := fmt.Sprintf("{'descr': '%s%s', 'fortran_order': False, 'shape': (%s), }", order, name, sizes)
	text += strings.Repeat(" ", 63-(10+len(text))%64) + "\n"
	head := append([]byte(magic), 1, 0)
	return append(binary.LittleEndian.AppendUint16(head, uint16(len(text))), text...), nil
}

// Write writes an array; its name is not kept.
func Write(w io.Writer, t weights.NamedTensor) error {
	if err := t.Validate(); err != nil {
		return fmt.Errorf("npy: %w", err)
	}
	head, err := Header(t.DType, t.Shape)
	if err != nil {
		return err
	}
	if _, err := w.Write(head); err != nil {
		return err
	}
	_, err = w.Write(t.Data)
	return err
}
