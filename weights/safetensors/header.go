package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"unicode/utf8"

	"captioner/weights"
)

const (
	prefixSize    = 8           // the length of the header, little-endian
	maxHeaderSize = 100_000_000 // the limit of the reference implementation
	maxDims       = 64          // as many as PyTorch works with; keeps messages and memory small
	metadataKey   = "__metadata__"
)

// entry is one tensor of the header; begin and end count from the end of the header.
type entry struct {
	name       string
	dtype      weights.DType
	shape      []int64
	begin, end int64
}

func parse(b []byte) (*File, error) {
	if len(b) < prefixSize {
		return nil, fmt.Errorf("%d bytes, want at least %d for the length of the header", len(b), prefixSize)
	}
	n := binary.LittleEndian.Uint64(b)
	if n > maxHeaderSize {
		return nil, fmt.Errorf("the file does not begin with the length of a header, want at most %d", maxHeaderSize)
	}
	if n > uint64(len(b)-prefixSize) {
		return nil, fmt.Errorf("header of %d bytes, but the file has only %d after its first %d", n, len(b)-prefixSize,
			prefixSize)
	}
	header := b[prefixSize : prefixSize+n]
	f := &File{index: map[string]int{}, meta: map[string]string{}, data: b[prefixSize+n:]}
	if err := f.readHeader(header); err != nil {
		return nil, err
	}
	if err := f.checkLayout(); err != nil {
		return nil, err
	}
	for i, e := range f.entries {
		f.index[e.name] = i
	}
	return f, nil
}

// readHeader goes token by token, because encoding/json lets the last of two equal keys win, and two readers that
// disagree about which tensor a name means are how such files are made to deceive.
func (f *File) readHeader(header []byte) error {
	if len(header) == 0 || header[0] != '{' {
		return errors.New("header does not begin with {")
	}
	if !utf8.Valid(header) {
		return errors.New("header is not valid UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(header))
	dec.UseNumber()
	seenMeta := false
	err := readObject(dec, "header", func(key string) error {
		if key == metadataKey {
			if seenMeta {
				return fmt.Errorf("%s occurs twice", metadataKey)
			}
			seenMeta = true
			return f.readMetadata(dec)
		}
		if _, dup := f.index[key]; dup {
			return fmt.Errorf("tensor %q occurs twice", key)
		}
		f.index[key] = -1 // the position is known once the entries are sorted
		e, err := readEntry(dec)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", key, err)
		}
		e.name = key
		f.entries = append(f.entries, e)
		return nil
	})
	if err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("header has text after its closing }")
	}
	return nil
}

func (f *File) readMetadata(dec *json.Decoder) error {
	return readObject(dec, metadataKey, func(key string) error {
		if _, dup := f.meta[key]; dup {
			return fmt.Errorf("%s: %q occurs twice", metadataKey, key)
		}
		v, err := token(dec)
		if err != nil {
			return err
		}
		s, ok := v.(string)
		if !ok {
			return fmt.Errorf("%s: %q is not a string", metadataKey, key)
		}
		f.meta[key] = s
		return nil
	})
}

func readEntry(dec *json.Decoder) (entry, error) {
	var e entry
	var seen [3]bool
	var offsets []int64
	err := readObject(dec, "entry", func(key string) (err error) {
		field := slices.Index([]string{"dtype", "shape", "data_offsets"}, key)
		if field < 0 {
			return fmt.Errorf("unknown field %q", key)
		}
		if seen[field] {
			return fmt.Errorf("%s occurs twice", key)
		}
		seen[field] = true
		switch field {
		case 0:
			e.dtype, err = readDType(dec)
		case 1:
			e.shape, err = readInts(dec, key, maxDims)
		case 2:
			offsets, err = readInts(dec, key, 2)
		}
		return err
	})
	if err != nil {
		return e, err
	}
	for i, name := range []string{"dtype", "shape", "data_offsets"} {
		if !seen[i] {
			return e, fmt.Errorf("no %s", name)
		}
	}
	if len(offsets) != 2 {
		return e, fmt.Errorf("data_offsets %v, want two numbers", offsets)
	}
	e.begin, e.end = offsets[0], offsets[1]
	size, err := weights.ByteSize(e.dtype, e.shape)
	if err != nil {
		return e, err
	}
	if e.begin > e.end || e.end-e.begin != size {
		return e, fmt.Errorf("data_offsets %v, want %d bytes for shape %v of %v", offsets, size, e.shape, e.dtype)
	}
	return e, nil
}

// readObject calls field after each key of an object; field must consume the value.
func readObject(dec *json.Decoder, what string, field func(key string) error) error {
	t, err := token(dec)
	if err != nil {
		return err
	}
	if t != json.Delim('{') {
		return fmt.Errorf("%s is not a JSON object", what)
	}
	for dec.More() {
		t, err := token(dec)
		if err != nil {
			return err
		}
		key, ok := t.(string)
		if !ok {
			return fmt.Errorf("%s has a key that is not a string", what)
		}
		if err := field(key); err != nil {
			return err
		}
	}
	_, err = token(dec) // the closing brace
	return err
}

func readDType(dec *json.Decoder) (weights.DType, error) {
	t, err := token(dec)
	if err != nil {
		return 0, err
	}
	s, ok := t.(string)
	if !ok {
		return 0, errors.New("dtype is not a string")
	}
	return weights.ParseDType(s)
}

// readInts reads an array of at most limit non-negative integers.
func readInts(dec *json.Decoder, what string, limit int) ([]int64, error) {
	t, err := token(dec)
	if err != nil {
		return nil, err
	}
	if t != json.Delim('[') {
		return nil, fmt.Errorf("%s is not an array", what)
	}
	ints := []int64{}
	for dec.More() {
		t, err := token(dec)
		if err != nil {
			return nil, err
		}
		n, ok := t.(json.Number)
		if !ok {
			return nil, fmt.Errorf("%s holds something that is not a number", what)
		}
		v, err := strconv.ParseUint(n.String(), 10, 63)
		if err != nil {
			return nil, fmt.Errorf("%s holds %s, want an integer from 0 to 2^63-1", what, shorten(n.String()))
		}
		if len(ints) == limit {
			return nil, fmt.Errorf("%s has more than %d numbers", what, limit)
		}
		ints = append(ints, int64(v))
	}
	_, err = token(dec)
	return ints, err
}

func token(dec *json.Decoder) (json.Token, error) {
	t, err := dec.Token()
	if err != nil {
		return nil, fmt.Errorf("header is not JSON: byte %d: %w", dec.InputOffset(), err)
	}
	return t, nil
}

func shorten(s string) string {
	if len(s) > 32 {
		return s[:32] + "…"
	}
	return s
}

// checkLayout sorts the entries by their data and checks that they cover all of it, once.
func (f *File) checkLayout() error {
	slices.SortFunc(f.entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end), cmp.Compare(a.name, b.name))
	})
	var at int64
	for i, e := range f.entries {
		switch {
		case e.begin < at:
			return fmt.Errorf("tensor %q: begins at byte %d, inside %q, which ends at %d", e.name, e.begin,
				f.entries[i-1].name, at)
		case e.begin > at:
			return fmt.Errorf("tensor %q: begins at byte %d, want %d: the bytes between belong to no tensor", e.name, e.begin,
				at)
		case e.end > int64(len(f.data)):
			return fmt.Errorf("tensor %q: ends at byte %d, but the data has %d: the file is cut off", e.name, e.end, len(f.data))
		}
		at = e.end
	}
	if at != int64(len(f.data)) {
		return fmt.Errorf("data of %d bytes, but the tensors take %d", len(f.data), at)
	}
	return nil
}
