package data

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"captioner/data/image"
)

// sidecarExtensions are those of the files that have the captions of the picture beside them.
var sidecarExtensions = []string{".txt", ".caption"}

// Folder reads the pictures of a folder and of all below it, in natural order (img2 before img10). The captions of
// a.jpg stand in a.txt or a.caption or a.jpg.txt, one a line; empty lines do not count. A picture without one has no
// captions. Names that begin with a dot are left out; links to folders are not followed.
func Folder(root string) (Source, error) {
	info, err := os.Stat(root)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, &RecordError{File: root, Err: errors.New("found a file, want a folder")}
	}
	return func(yield func(Example, error) bool) {
		stopped := errors.New("stopped")
		err := walk(root, "", func(name string) error {
			e := Example{ID: filepath.ToSlash(name), Path: filepath.Join(root, name)}
			var err error
			if e.Captions, err = sidecar(e.Path); err != nil {
				e = Example{}
			}
			if !yield(e, err) {
				return stopped
			}
			return nil
		})
		if err != nil && err != stopped {
			yield(Example{}, err)
		}
	}, nil
}

// walk calls visit with the name of each picture below root, a folder at a time.
func walk(root, folder string, visit func(name string) error) error {
	entries, err := os.ReadDir(filepath.Join(root, folder))
	if err != nil {
		return err
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int {
		return cmp.Or(naturalCompare(a.Name(), b.Name()), strings.Compare(a.Name(), b.Name()))
	})
	for _, entry := range entries {
		name := filepath.Join(folder, entry.Name())
		switch {
		case strings.HasPrefix(entry.Name(), "."):
		case entry.IsDir():
			err = walk(root, name, visit)
		case image.HasExtension(name):
			err = visit(name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sidecar reads the captions beside a picture.
func sidecar(path string) ([]string, error) {
	bare := strings.TrimSuffix(path, filepath.Ext(path))
	for _, extension := range sidecarExtensions {
		for _, name := range []string{bare + extension, path + extension} {
			info, err := os.Stat(name)
			if err != nil || !info.Mode().IsRegular() {
				continue
			}
			if info.Size() > maxCaptionFile {
				return nil, &RecordError{File: name, Err: fmt.Errorf("found %d bytes, want captions of %d at most", info.Size(), maxCaptionFile)}
			}
			text, err := os.ReadFile(name)
			if err != nil {
				return nil, err
			}
			return captionLines(string(text)), nil
		}
	}
	return nil, nil
}

// maxCaptionFile is the size in bytes of the longest sidecar: more is something else by that name.
const maxCaptionFile = 1 << 20

func captionLines(text string) []string {
	var captions []string
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		if line = trim(line); line != "" {
			captions = append(captions, line)
		}
	}
	return captions
}
