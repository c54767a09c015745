package input

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"captioner/cli/cloud"
)

// Stamp is what a file looked like when it was read. The zero value is of no file.
type Stamp struct {
	size int64
	time int64 // of its last change, in nanoseconds since 1970
}

// StampOf is the stamp of a file as it is now.
func StampOf(i fs.FileInfo) Stamp { return Stamp{i.Size(), i.ModTime().UnixNano()} }

// ID tells an image, as it was when it was captioned, from all others.
type ID [12]byte

// IDOf is the ID of the image at a place. Places finds the place; a path as it was given tells images of one run apart.
func IDOf(place string, s Stamp) ID {
	h := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%d", place, s.size, s.time))
	return ID(h[:])
}

// Places says where images are, however they are spelled: by the path of their folder from the root on, without links.
// Any number of goroutines may ask. The zero value is ready.
type Places struct {
	mu      sync.Mutex
	folders map[string]string
}

// Of is the place of an image. What is no file, such as an address, is its own place.
func (p *Places) Of(in Input) string {
	path := in.Path
	if IsURL(path) || cloud.Is(path) {
		return path
	}
	if !strings.Contains(path, "/") {
		if _, err := os.Lstat(path); err != nil {
			return path
		}
	}
	folder, name := filepath.Split(path)
	return p.folder(filepath.Clean(folder)) + "/" + name
}

// folder is the place of a folder, or of a file that holds others, such as an archive and its folders.
func (p *Places) folder(path string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if real, known := p.folders[path]; known {
		return real
	}
	if p.folders == nil || len(p.folders) > 10_000 {
		p.folders = make(map[string]string)
	}
	real := realFolder(path)
	p.folders[path] = real
	return real
}

func realFolder(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		return strings.TrimSuffix(real, "/")
	}
	parent := filepath.Dir(abs)
	if parent == abs {
		return ""
	}
	return realFolder(parent) + "/" + filepath.Base(abs)
}
