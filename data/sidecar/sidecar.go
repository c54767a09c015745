// Package sidecar finds the text that stands beside an image: photo.jpg has photo.txt or photo.jpg.txt. Names match
// whatever their case, as cameras and Windows write them: PHOTO.JPG has PHOTO.TXT, or photo.txt.
package sidecar

import (
	"os"
	"path/filepath"
	"strings"
	"sync"

	"captioner/data/image"
)

// Path is the name of the sidecar that an image gets: its own with another extension, such as ".txt".
func Path(image, extension string) string {
	return strings.TrimSuffix(image, filepath.Ext(image)) + extension
}

// Finder finds sidecars. It remembers the names in one folder, so that a folder of many images is read once; it is for
// images that come folder by folder. The zero value is ready. It is safe for concurrent use.
type Finder struct {
	mu     sync.Mutex
	folder string
	names  map[string]string // in lower case -> as it is
	images map[string]bool   // names of images without extension
}

// Find returns the file that has the text of an image: for each extension in turn Path(image, extension), or the whole
// name of the image with the extension behind it, as it is written; else a name that differs from one of these in case
// alone. A file that is the sidecar of another image by its exact name is not found by its case.
func (f *Finder) Find(image string, extensions ...string) (path string, ok bool) {
	for _, extension := range extensions {
		for _, path := range []string{Path(image, extension), image + extension} {
			if isFile(path) {
				return path, true
			}
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list(filepath.Dir(image))
	bare := Path(filepath.Base(image), "")
	for _, extension := range extensions {
		for _, want := range []string{bare + extension, filepath.Base(image) + extension} {
			name, ok := f.names[strings.ToLower(want)]
			if !ok || name == want { // what is there under the very name is no file, or was seen above
				continue
			}
			if stem := name[:len(name)-len(extension)]; stem != bare && f.images[stem] {
				continue
			}
			if path := filepath.Join(filepath.Dir(image), name); isFile(path) {
				return path, true
			}
		}
	}
	return "", false
}

// list reads the names in a folder, unless it is the one that was read last.
func (f *Finder) list(folder string) {
	if f.names != nil && f.folder == folder {
		return
	}
	f.folder, f.names, f.images = folder, map[string]string{}, map[string]bool{}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return // then no file in it is found
	}
	for _, e := range entries {
		name := e.Name()
		if image.HasExtension(name) {
			f.images[Path(name, "")] = true
			continue
		}
		lower := strings.ToLower(name)
		if _, twice := f.names[lower]; !twice { // the first in the order of the folder
			f.names[lower] = name
		}
	}
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
