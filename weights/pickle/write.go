package pickle

import (
	"archive/zip"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"

	"captioner/weights/atomicfile"
)

const (
	archiveRoot = "archive" // the folder inside the zip file
	alignment   = 64        // of each entry's data, as torch.save has it
)

// Write writes a zip archive that Python's torch.load(weights_only=True) reads, as it is by default since PyTorch 2.6.
//
// root is made of nil, bool, int, int64, *big.Int, float64, string, Tuple, []any, *List, map[string]any (written sorted
// by key), *Dict (in its order), weights.NamedTensor (its Name is not used: the key of the dict names it) and *Tensor.
// Other values are refused. Tensors that share their bytes share a storage in the file, so ties survive; so do lists
// and dicts that occur twice or contain themselves. Equal roots give equal bytes.
func Write(w io.Writer, root any) error {
	e := &encoder{out: []byte{0x80, 2}, keys: map[dataKey]int{}, memo: map[any]int{}}
	if err := e.value(root, 0); err != nil {
		return fmt.Errorf("pickle: %w", err)
	}
	e.op('.')
	counted := &counter{w: w}
	z := zip.NewWriter(counted)
	entries := []struct {
		name string
		data []byte
	}{
		{"data.pkl", e.out}, {".format_version", []byte("1")}, {".storage_alignment", fmt.Append(nil, alignment)},
		{"byteorder", []byte("little")},
	}
	for _, entry := range entries {
		if err := store(z, counted, entry.name, entry.data); err != nil {
			return err
		}
	}
	for i, s := range e.storages {
		if err := store(z, counted, fmt.Sprint("data/", i), s.Data); err != nil {
			return err
		}
	}
	if err := store(z, counted, "version", []byte("3\n")); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("pickle: %w", err)
	}
	return nil
}

// WriteFile writes an archive under a temporary name, syncs and renames it; see atomicfile.WriteFile.
func WriteFile(path string, root any) error {
	return atomicfile.WriteFile(path, func(w io.Writer) error { return Write(w, root) })
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

// store writes an uncompressed entry whose data is aligned: an extra field before it fills the gap.
func store(z *zip.Writer, at *counter, name string, data []byte) error {
	name = archiveRoot + "/" + name
	if err := z.Flush(); err != nil {
		return fmt.Errorf("pickle: %w", err)
	}
	const localHeader, extraHeader = 30, 4
	begin := at.n + localHeader + int64(len(name)) + extraHeader
	extra := make([]byte, extraHeader+(alignment-begin%alignment)%alignment)
	copy(extra, "FB") // the field's id in PyTorch's own files
	binary.LittleEndian.PutUint16(extra[2:], uint16(len(extra)-extraHeader))
	for i := extraHeader; i < len(extra); i++ {
		extra[i] = 'Z'
	}
	size := uint64(len(data))
	w, err := z.CreateRaw(&zip.FileHeader{
		Name: name, Method: zip.Store, Extra: extra, CRC32: crc32.ChecksumIEEE(data),
		CompressedSize64: size, UncompressedSize64: size,
	})
	if err == nil {
		_, err = w.Write(data)
	}
	if err != nil {
		return fmt.Errorf("pickle: %s: %w", name, err)
	}
	return nil
}
