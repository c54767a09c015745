// Package data reads captioned images, and text alone, for training and evaluation: one file a format.
//
// [Open] looks at what a path holds and says which format it is. A [Source] gives its examples in a fixed order, each
// time it is ranged over from the start. Annotation files are read once, when they are opened, and their text is kept
// in memory; images never are: [Example.Bytes] reads one when it is wanted.
//
// The package decodes no images, fetches nothing, and does not judge what it reads beyond its form: [Check] does, and
// finds everything that would stop a training run later.
package data

import (
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"

	"captioner/data/record"
)

// An Example is one image and what people wrote about it.
type Example struct {
	// ID is the example's name within its data set: the image id of COCO, else the image's path as the data set writes
	// it.
	ID string
	// Path is the image's file. Within an archive it is the name of the member.
	Path string
	// Captions are the captions as written but for white space around them, which is an accident in every format. There
	// may be none, and empty ones stay, for Check to find.
	Captions []string
	// Archive is the tar file that has the image as a member, or "".
	Archive string

	offset, size int64       // of the member within the archive
	unpacked     io.ReaderAt // the bytes of a compressed archive; nil for any other
}

// Source gives examples or the errors that it met in their place. It can be ranged over many times, by one goroutine at
// a time each; the slices within an example are shared between the rounds and must not be changed.
type Source = iter.Seq2[Example, error]

// Name is where the image is, for people: its path, with the archive before it if there is one.
func (e Example) Name() string {
	if e.Archive == "" {
		return e.Path
	}
	return e.Archive + ":" + e.Path
}

// Exists says whether the image's file is there and not empty.
func (e Example) Exists() bool { return sizeOf(e) > 0 }

// Bytes reads the image's file. The image is still encoded, as JPEG for example.
func (e Example) Bytes() ([]byte, error) {
	if e.Archive == "" {
		return os.ReadFile(e.Path)
	}
	bytes := e.unpacked
	if bytes == nil {
		f, err := os.Open(e.Archive)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		bytes = f
	}
	b, err := io.ReadAll(io.NewSectionReader(bytes, e.offset, e.size))
	if err == nil && int64(len(b)) < e.size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", e.Name(), err)
	}
	return b, nil
}

// Collect reads all examples, up to the first error.
func Collect(s Source) ([]Example, error) {
	var all []Example
	for e, err := range s {
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}

// Captions gives every caption of a source, in order, up to the first error.
func Captions(s Source) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for e, err := range s {
			if err != nil {
				yield("", err)
				return
			}
			for _, c := range e.Captions {
				if !yield(c, nil) {
					return
				}
			}
		}
	}
}

// FromList is the source of a list.
func FromList(list []Example) Source {
	return func(yield func(Example, error) bool) {
		for _, e := range list {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// A RecordError says where in which file something is not as its format wants it.
type RecordError = record.Error

// Notes are what was left out of a data set, or read by a rule.
type Notes = record.Notes

// A Group gathers captions of images that are named again and again, in the order of their first naming.
type Group struct {
	List  []Example
	index map[string]int
}

// Add puts captions to the image of this id.
func (g *Group) Add(id, path string, captions ...string) {
	if g.index == nil {
		g.index = map[string]int{}
	}
	i, ok := g.index[id]
	if !ok {
		i = len(g.List)
		g.index[id] = i
		g.List = append(g.List, Example{ID: id, Path: path})
	}
	for _, c := range captions {
		g.List[i].Captions = append(g.List[i].Captions, record.Trim(c))
	}
}

// Locate puts the folder of the images before the paths that are relative: images, or where that is "" the folder in
// which images of the list are found beside the annotation file. Where a path is not known, none is made up.
func Locate(list []Example, annotations, images string) {
	folder := imageFolder(annotations, images, list)
	for i := range list {
		if list[i].Path == "" {
			continue
		}
		if p := filepath.FromSlash(list[i].Path); filepath.IsAbs(p) {
			list[i].Path = p
		} else {
			list[i].Path = filepath.Join(folder, p)
		}
	}
}
