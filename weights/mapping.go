package weights

import (
	"fmt"
	"os"
	"sync"
	"unsafe"
)

// Mapping is a whole file as bytes: a private memory map where the system has one, else a copy in memory. Pages are
// read when they are touched, and are shared with every other process that maps the file. Writing to the bytes is
// allowed and changes neither the file nor other mappings.
//
// A file that another program shortens while it is mapped makes reads beyond its new end fault. Package atomicfile
// never shortens a file in place.
type Mapping struct {
	data  []byte
	unmap func() error
	once  sync.Once
	err   error
}

// Map maps a file. The result must be closed; its bytes must not be touched after that.
func Map(path string) (*Mapping, error) {
	info, err := os.Stat(path) // before opening: opening a pipe would wait for its writer
	if err != nil {
		return nil, &FileError{Doing: "open", File: path, Err: Reason(err)}
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("open %q: it is a %s, want a file", path, FileKind(info.Mode()))
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, &FileError{Doing: "open", File: path, Err: Reason(err)}
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, &FileError{Doing: "open", File: path, Err: Reason(err)}
	}
	size := info.Size()
	if int64(int(size)) != size {
		return nil, fmt.Errorf("open %q: %d bytes, more than this system can address", path, size)
	}
	if size == 0 { // no system maps nothing
		return &Mapping{}, nil
	}
	data, unmap, err := mapFile(f, int(size))
	if err != nil {
		return nil, fmt.Errorf("map %q: %w", path, Reason(err))
	}
	m := &Mapping{data: data, unmap: unmap}
	mapped.Store(m, struct{}{})
	return m, nil
}

// mapped holds the mappings that are open.
var mapped sync.Map // *Mapping -> struct{}

// Forget tells the system that b, where it lies in an open Mapping, is not needed for now: the pages that are wholly
// inside leave this process's memory, and come back from the file when they are touched. What was written to them is
// lost. Bytes that lie elsewhere stay.
func Forget(b []byte) {
	if len(b) == 0 {
		return
	}
	at := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	mapped.Range(func(k, _ any) bool {
		m := k.(*Mapping)
		base := uintptr(unsafe.Pointer(unsafe.SliceData(m.data)))
		if at < base || at+uintptr(len(b)) > base+uintptr(len(m.data)) {
			return true
		}
		page := uintptr(os.Getpagesize())
		from := (at - base + page - 1) / page * page // the map begins at a page
		to := (at - base + uintptr(len(b))) / page * page
		if from < to {
			forget(m.data[from:to])
		}
		return false
	})
}

// Bytes returns the content of the file, aliasing the map.
func (m *Mapping) Bytes() []byte { return m.data }

// Close releases the map. A second Close does nothing and returns what the first returned.
func (m *Mapping) Close() error {
	m.once.Do(func() {
		mapped.Delete(m)
		m.data = nil
		if m.unmap != nil {
			m.err = m.unmap()
		}
	})
	return m.err
}

// Aligned returns b itself, and true, if its first byte lies at a multiple of size, else a copy that does, and false.
// Files may place a tensor anywhere; code that reads elements where they lie needs them aligned.
func Aligned(b []byte, size int) (aligned []byte, same bool) {
	if size <= 1 || uintptr(unsafe.Pointer(unsafe.SliceData(b)))%uintptr(size) == 0 {
		return b, true
	}
	return append(make([]byte, 0, len(b)), b...), false
}
