package input

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Passed counts the files of folders that are passed over, by kind. Any number of goroutines may use it.
type Passed struct {
	mu    sync.Mutex
	kinds map[string]int // by extension, in lower case
}

// unreadImages are the extensions of images that captioner does not read.
var unreadImages = []string{
	".ai", ".arw", ".avifs", ".cr2", ".cr3", ".dng", ".emf", ".eps", ".exr", ".hdr", ".heics", ".icns",
	".ico", ".j2c", ".j2k",
	".jp2", ".jpx", ".jxl", ".jxr", ".nef", ".orf", ".pbm", ".pcx", ".pgm", ".pnm", ".ppm", ".psb", ".psd", ".raf", ".raw",
	".rw2", ".svg", ".svgz", ".tga", ".wdp", ".wmf", ".xcf",
}

func (p *Passed) add(path string) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kinds == nil {
		p.kinds = make(map[string]int)
	}
	p.kinds[strings.ToLower(filepath.Ext(path))]++
}

// Images lists the kinds of images that are not read, and how many there are; "" for none.
func (p *Passed) Images() string {
	return p.list(func(kind string) bool { return slices.Contains(unreadImages, kind) })
}

// Others lists all other kinds.
func (p *Passed) Others() string {
	return p.list(func(kind string) bool { return !slices.Contains(unreadImages, kind) })
}

// list is "3 .psd, 1 .svg", the most frequent first.
func (p *Passed) list(wanted func(kind string) bool) string {
	if p == nil {
		return ""
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var kinds []string
	for kind := range p.kinds {
		if wanted(kind) {
			kinds = append(kinds, kind)
		}
	}
	slices.SortFunc(kinds, func(a, b string) int {
		if n := p.kinds[b] - p.kinds[a]; n != 0 {
			return n
		}
		return strings.Compare(a, b)
	})
	for i, kind := range kinds {
		name := kind
		if kind == "" {
			name = "without an extension"
		}
		kinds[i] = fmt.Sprintf("%d %s", p.kinds[kind], name)
	}
	return strings.Join(kinds, ", ")
}
