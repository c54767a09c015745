package pickle

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// archive is a zip file as torch.save and torch.jit.save write it: NAME/data.pkl and NAME/data/KEY, stored as they are.
type archive struct {
	in    []byte
	files map[string]*zip.File // by their name below the root folder
	pair  bool                 // see loadPair; then by their whole names
}

var zipMagic = []byte("PK\x03\x04")

func openArchive(b []byte) (*archive, error) {
	r, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, fmt.Errorf("zip archive is broken or cut off: %s", strings.TrimPrefix(err.Error(), "zip: "))
	}
	a := &archive{in: b, files: make(map[string]*zip.File, len(r.File))}
	root := ""
	for _, f := range r.File {
		if dir, base, ok := strings.Cut(f.Name, "/"); ok && base == "data.pkl" {
			if root != "" {
				return nil, errors.New("zip archive with two data.pkl")
			}
			root = dir + "/"
		}
	}
	if root == "" {
		if a.pair = isPair(r.File); !a.pair {
			return nil, errors.New("zip archive without data.pkl: not written by torch.save")
		}
	}
	for _, f := range r.File {
		name, ok := strings.CutPrefix(f.Name, root)
		if !ok {
			continue
		}
		if _, dup := a.files[name]; dup {
			return nil, fmt.Errorf("zip archive with two entries %s", shorten(f.Name))
		}
		a.files[name] = f
	}
	return a, nil
}

// entry returns the bytes of an entry, which alias the archive. Compressed ones are refused: torch.save does not write
// them, and unpacking would take memory that the size of the file does not bound.
func (a *archive) entry(name string) ([]byte, error) {
	f, ok := a.files[name]
	if !ok {
		return nil, fmt.Errorf("zip archive without %s", shorten(name))
	}
	if f.Method != zip.Store || f.Flags&1 != 0 {
		return nil, fmt.Errorf("zip entry %s is compressed or encrypted, want it stored as torch.save does", shorten(name))
	}
	offset, err := f.DataOffset()
	if err != nil {
		return nil, fmt.Errorf("zip entry %s: %s", shorten(name), strings.TrimPrefix(err.Error(), "zip: "))
	}
	n := f.UncompressedSize64
	if offset < 0 || offset > int64(len(a.in)) || n > uint64(int64(len(a.in))-offset) || n != f.CompressedSize64 {
		return nil, fmt.Errorf("zip entry %s: %d bytes from %d, beyond the file's %d", shorten(name), n, offset, len(a.in))
	}
	end := offset + int64(n)
	return a.in[offset:end:end], nil
}

// loadArchive reads the object graph of a zip file. It also returns the size of its pickle.
func loadArchive(a *archive) (root any, size int, err error) {
	if _, ok := a.files["byteorder"]; ok {
		order, err := a.entry("byteorder")
		if err != nil {
			return nil, 0, err
		}
		if string(order) != "little" {
			return nil, 0, fmt.Errorf("byte order %s, want \"little\"", shorten(string(order)))
		}
	}
	data, err := a.entry("data.pkl")
	if err != nil {
		return nil, 0, err
	}
	s := &storages{byKey: map[string]*Storage{}, load: func(key string) ([]byte, error) { return a.entry("data/" + key) }}
	m := newMachine(data, innerStream)
	m.persistent = s.persistent
	root, err = m.run()
	return root, len(data), err
}
