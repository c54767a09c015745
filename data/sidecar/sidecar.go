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
// name of the image with the extension behind it; as these are written, or else whatever their case (see Like).
func (f *Finder) Find(image string, extensions ...string) (path string, ok bool) {
	var paths []string
	for _, extension := range extensions {
		paths = append(paths, Path(image, extension), image+extension)
	}
	for _, path := range paths {
		if isFile(path) {
			return path, true
		}
	}
	for _, path := range paths {
		if like, ok := f.Like(image, path); ok {
			return like, true
		}
	}
	return "", false
}

// Like returns the file at path, the sidecar of an image in the same folder, or where there is none a file whose name
// differs from it in case alone. A file that is the sidecar of another image by its exact name is not found by its
// case.
func (f *Finder) Like(image, path string) (like string, ok bool) {
	if isFile(path) {
		return path, true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	folder, want := filepath.Split(path)
	f.list(filepath.Dir(image))
	name, ok := f.names[strings.ToLower(want)]
	if !ok || name == want { // what is there under the very name is no file
		return "", false
	}
	if stem := Path(name, ""); stem != Path(filepath.Base(image), "") && f.images[stem] {
		return "", false
	}
	like = folder + name
	return like, isFile(like)
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
