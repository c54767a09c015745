package input

import (
	"fmt"
	"log/slog"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"captioner/data/image"
	"captioner/data/unpack"
)

// Passed counts the files of folders and archives that are passed over, by kind. Any number of goroutines may use it.
type Passed struct {
	mu    sync.Mutex
	kinds map[passedGroup]map[string]*passedKind // by extension, in lower case
}

// passedGroup is why files are passed over.
type passedGroup int

const (
	unreadImages   passedGroup = iota // of kinds that are not read
	closedArchives                    // in a folder
	innerArchives                     // in another archive
	otherMembers                      // of an archive
	otherFiles                        // of a folder
)

// passedKind is the files of one extension.
type passedKind struct {
	count int
	names []string // of the first
}

// maxNamed bounds the names of a kind.
const maxNamed = 10

// file counts a file of a folder.
func (p *Passed) file(path string) {
	switch {
	case image.IsUnread(path):
		p.add(unreadImages, path)
	case unpack.IsArchive(path), archiveKind(path) != "":
		p.add(closedArchives, path)
	default:
		p.add(otherFiles, path)
	}
}

// member counts a file of an archive.
func (p *Passed) member(archive, name string) {
	path := archive + "/" + name
	switch {
	case image.IsUnread(name):
		p.add(unreadImages, path)
	case unpack.IsArchive(name):
		p.add(innerArchives, path)
	default:
		p.add(otherMembers, path)
	}
}

func (p *Passed) add(g passedGroup, name string) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kinds == nil {
		p.kinds = make(map[passedGroup]map[string]*passedKind)
	}
	if p.kinds[g] == nil {
		p.kinds[g] = make(map[string]*passedKind)
	}
	ext := strings.ToLower(path.Ext(filepath.ToSlash(name)))
	k := p.kinds[g][ext]
	if k == nil {
		k = &passedKind{}
		p.kinds[g][ext] = k
	}
	if k.count++; len(k.names) < maxNamed {
		k.names = append(k.names, name)
	}
}

// Log tells what was passed over: images and archives always, what else archives hold as well, and what else folders
// hold at the level of details, where the names are told too.
func (p *Passed) Log(log *slog.Logger) {
	if kinds := p.list(unreadImages); kinds != "" {
		log.Warn("images of kinds that are not read were passed over: " + kinds)
	}
	if kinds := p.list(closedArchives); kinds != "" {
		log.Warn("archives in folders were passed over: "+kinds, "hint",
			"archives are opened when they are named, as in 'folder/*.tar'")
	}
	if kinds := p.list(innerArchives); kinds != "" {
		log.Warn("archives in archives were passed over: "+kinds, "hint", "unpack the outer archive first")
	}
	if kinds := p.list(otherMembers); kinds != "" {
		log.Info("the archives hold besides: " + kinds)
	}
	if kinds := p.list(otherFiles); kinds != "" {
		log.Debug("the folders hold besides: " + kinds)
	}
	for g := unreadImages; g <= otherFiles; g++ {
		for _, line := range p.named(g) {
			log.Debug("passed over: " + line)
		}
	}
}

// sorted are the kinds of a group, the most frequent first.
func (p *Passed) sorted(g passedGroup) (kinds []string, of map[string]*passedKind) {
	of = p.kinds[g]
	for kind := range of {
		kinds = append(kinds, kind)
	}
	slices.SortFunc(kinds, func(a, b string) int {
		if n := of[b].count - of[a].count; n != 0 {
			return n
		}
		return strings.Compare(a, b)
	})
	return kinds, of
}

// list is "3 .psd, 1 .svg"; "" for none.
func (p *Passed) list(g passedGroup) string {
	if p == nil {
		return ""
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	kinds, of := p.sorted(g)
	for i, kind := range kinds {
		name := kind
		if kind == "" {
			name = "without an extension"
		}
		kinds[i] = fmt.Sprintf("%d %s", of[kind].count, name)
	}
	return strings.Join(kinds, ", ")
}

// named is a line a kind with the names of its first files.
func (p *Passed) named(g passedGroup) (lines []string) {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	kinds, of := p.sorted(g)
	for _, kind := range kinds {
		k := of[kind]
		line := fmt.Sprintf("%q", k.names)
		if more := k.count - len(k.names); more > 0 {
			line += fmt.Sprintf(" and %d more", more)
		}
		lines = append(lines, line)
	}
	return lines
}
