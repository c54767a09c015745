package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"unicode/utf8"

	"captioner/weights"
	"captioner/weights/atomicfile"
)

// typeRank orders the data as the reference writer does: types of wide elements first, so that each tensor is aligned
// to its element size.
var typeRank = map[weights.DType]int{
	weights.I64: 0, weights.F64: 1, weights.F32: 2, weights.I32: 3, weights.BF16: 4,
	weights.F16: 5, weights.I16: 6, weights.I8: 7, weights.U8: 8, weights.Bool: 9,
}

// Write writes a file. Equal tensors and metadata give equal bytes, in whatever order they come: metadata is sorted by
// key, tensors by type and then name. The data begins at a multiple of 8 bytes.
func Write(w io.Writer, tensors []weights.NamedTensor, metadata map[string]string) error {
	sorted := slices.Clone(tensors)
	slices.SortFunc(sorted, func(a, b weights.NamedTensor) int {
		return cmp.Or(cmp.Compare(typeRank[a.DType], typeRank[b.DType]), cmp.Compare(a.Name, b.Name))
	})
	header, err := encodeHeader(sorted, metadata)
	if err != nil {
		return fmt.Errorf("safetensors: %w", err)
	}
	if _, err := w.Write(header); err != nil {
		return fmt.Errorf("safetensors: %w", err)
	}
	for _, t := range sorted {
		if _, err := w.Write(t.Data); err != nil {
			return fmt.Errorf("safetensors: tensor %q: %w", t.Name, err)
		}
	}
	return nil
}

// WriteFile writes a file under a temporary name, syncs and renames it; see atomicfile.WriteFile.
func WriteFile(path string, tensors []weights.NamedTensor, metadata map[string]string) error {
	return atomicfile.WriteFile(path, func(w io.Writer) error { return Write(w, tensors, metadata) })
}

// encodeHeader returns everything that stands before the data.
func encodeHeader(sorted []weights.NamedTensor, metadata map[string]string) ([]byte, error) {
	var b bytes.Buffer
	b.Write(make([]byte, prefixSize))
	b.WriteByte('{')
	if len(metadata) > 0 {
		if err := encodeMetadata(&b, metadata); err != nil {
			return nil, err
		}
	}
	names := make(map[string]bool, len(sorted))
	var at int64
	for i, t := range sorted {
		if err := t.Validate(); err != nil {
			return nil, err
		}
		if t.Name == metadataKey || names[t.Name] {
			return nil, fmt.Errorf("tensor %q: the name is taken", t.Name)
		}
		if len(t.Shape) > maxDims {
			return nil, fmt.Errorf("tensor %q: %d dimensions, want at most %d", t.Name, len(t.Shape), maxDims)
		}
		names[t.Name] = true
		if i > 0 || len(metadata) > 0 {
			b.WriteByte(',')
		}
		if err := encodeString(&b, t.Name); err != nil {
			return nil, fmt.Errorf("tensor %q: name %w", t.Name, err)
		}
		end := at + int64(len(t.Data))
		shape, _ := json.Marshal(append([]int64{}, t.Shape...)) // never null
		fmt.Fprintf(&b, `:{"dtype":"%v","shape":%s,"data_offsets":[%d,%d]}`, t.DType, shape, at, end)
		at = end
	}
	return closeHeader(&b)
}

func closeHeader(b *bytes.Buffer) ([]byte, error) {
	b.WriteByte('}')
	for b.Len()%8 != 0 {
		b.WriteByte(' ')
	}
	n := b.Len() - prefixSize
	if n > maxHeaderSize {
		return nil, fmt.Errorf("header of %d bytes, want at most %d", n, maxHeaderSize)
	}
	binary.LittleEndian.PutUint64(b.Bytes(), uint64(n))
	return b.Bytes(), nil
}

// Header is what stands before the data of a file with one tensor, for data that come piece by piece.
func Header(name string, d weights.DType, shape []int64, metadata map[string]string) ([]byte, error) {
	var b bytes.Buffer
	b.Write(make([]byte, prefixSize))
	b.WriteByte('{')
	if err := encodeMetadata(&b, metadata); err != nil {
		return nil, fmt.Errorf("safetensors: %w", err)
	}
	b.WriteByte(',')
	if err := encodeString(&b, name); err != nil {
		return nil, fmt.Errorf("safetensors: tensor %q: name %w", name, err)
	}
	size := int64(d.Size())
	for _, n := range shape {
		size *= n
	}
	dims, _ := json.Marshal(append([]int64{}, shape...)) // never null
	fmt.Fprintf(&b, `:{"dtype":"%v","shape":%s,"data_offsets":[0,%d]}`, d, dims, size)
	return closeHeader(&b)
}

func encodeMetadata(b *bytes.Buffer, metadata map[string]string) error {
	b.WriteString(`"` + metadataKey + `":{`)
	for i, key := range slices.Sorted(maps.Keys(metadata)) {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := encodeString(b, key); err != nil {
			return fmt.Errorf("metadata key %q %w", key, err)
		}
		b.WriteByte(':')
		if err := encodeString(b, metadata[key]); err != nil {
			return fmt.Errorf("metadata %q %w", key, err)
		}
	}
	b.WriteByte('}')
	return nil
}

func encodeString(b *bytes.Buffer, s string) error {
	if !utf8.ValidString(s) {
		return fmt.Errorf("is not valid UTF-8")
	}
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return err
	}
	b.Truncate(b.Len() - 1) // the encoder's newline
	return nil
}
