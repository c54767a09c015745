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
	"captioner/data/record"
	"captioner/data/sidecar"
	"captioner/data/text"
	"captioner/data/unpack"
)

// sidecarExtensions are those of the files that have the captions of the image beside them.
var sidecarExtensions = []string{".txt", ".caption"}

// Folder reads the images of a folder and of all below it, in natural order (img2 before img10). The captions of a.jpg
// stand in a.txt or a.caption or a.jpg.txt, whatever the case of the name, one a line; empty lines do not count. An
// image without one has no captions. Names that begin with a dot are left out; links to folders are not followed. What
// else is left out is noted: images of formats that are not read, archives, captions without an image, and folders of
// training runs.
func Folder(root string) (Source, error) { return readFolder(root, nil) }

func readFolder(root string, notes *Notes) (Source, error) {
	info, err := os.Stat(root)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, &RecordError{File: root, Err: errors.New("found a file, want a folder")}
	}
	return func(yield func(Example, error) bool) {
		var found record.Tally
		defer func() { notes.Replace(found) }()
		var finder sidecar.Finder
		stopped := errors.New("stopped")
		left := func(name, why string) { found.Add(filepath.Join(root, name), "left out: "+why) }
		err := walk(root, "", left, func(name string) error {
			e := Example{ID: filepath.ToSlash(name), Path: filepath.Join(root, name)}
			var err error
			if path, ok := finder.Find(e.Path, sidecarExtensions...); ok {
				if e.Captions, err = readSidecar(path, &found); err != nil {
					e = Example{}
				}
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

// walk calls visit with the name of each image below root, a folder at a time, and left for what it leaves out.
func walk(root, folder string, left func(name, why string), visit func(name string) error) error {
	entries, err := os.ReadDir(filepath.Join(root, folder))
	if err != nil {
		return err
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int {
		return cmp.Or(naturalCompare(a.Name(), b.Name()), strings.Compare(a.Name(), b.Name()))
	})
	has := captioned(entries)
	for _, entry := range entries {
		name := filepath.Join(folder, entry.Name())
		switch {
		case strings.HasPrefix(entry.Name(), "."):
		case entry.IsDir() && isRun(filepath.Join(root, name)):
			left(name, "it is the folder of a training run")
		case entry.IsDir():
			err = walk(root, name, left, visit)
		case entry.Type()&fs.ModeSymlink != 0 && isFolder(filepath.Join(root, name)):
			left(name, "it is a link to a folder")
		case image.HasExtension(name):
			err = visit(name)
		case image.IsUnread(name):
			left(name, "images of this format are not read")
		case unpack.IsArchive(name):
			left(name, "archives in a folder are not opened, want each named by itself")
		case isTable(entry.Name()):
			left(name, "captions in a file of their own are not read with a folder: give this file instead")
		case slices.Contains(sidecarExtensions, strings.ToLower(filepath.Ext(name))) && !has(entry.Name()):
			left(name, "no image of that name stands beside it")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// isTable says whether a file in a folder looks like the captions of many images, as COCO names them.
func isTable(name string) bool {
	name = strings.ToLower(name)
	return strings.HasPrefix(name, "captions") && strings.HasSuffix(name, ".json")
}

// captioned says whether a sidecar among the entries of a folder has an image, of whatever format.
func captioned(entries []fs.DirEntry) func(name string) bool {
	images := map[string]bool{} // names in lower case, whole and without their extension
	for _, entry := range entries {
		if name := strings.ToLower(entry.Name()); image.HasExtension(name) || image.IsUnread(name) {
			images[name], images[sidecar.Path(name, "")] = true, true
		}
	}
	return func(name string) bool { return images[sidecar.Path(strings.ToLower(name), "")] }
}

// isRun says whether a folder is that of a training run, whose images are its curves.
func isRun(path string) bool {
	for _, name := range []string{"options.json", "metrics.jsonl"} {
		if info, err := os.Stat(filepath.Join(path, name)); err != nil || !info.Mode().IsRegular() {
			return false
		}
	}
	return true
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// readSidecar reads the captions beside an image.
func readSidecar(path string, found *record.Tally) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxCaptionFile {
		return nil, &RecordError{
			File: path,
			Err:  fmt.Errorf("found %d bytes, want captions of %d at most", info.Size(), maxCaptionFile),
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	d, err := text.Parse(b)
	if err != nil {
		return nil, &RecordError{File: path, Err: err}
	}
	if what := record.Taken(d.Encoding); what != "" {
		found.Add(path, what)
	}
	return captionLines(d.Text), nil
}

// maxCaptionFile is the size in bytes of the longest sidecar: more is something else by that name.
const maxCaptionFile = 1 << 20

func captionLines(text string) []string {
	var captions []string
	for line := range strings.Lines(text) {
		if line = record.Trim(line); line != "" {
			captions = append(captions, line)
		}
	}
	return captions
}
