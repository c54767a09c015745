package data

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"captioner/data/record"
)

// A Report is what Check found. The lists are complete and in the order of the data; each entry names the example and,
// where it is not the example's own, the image.
type Report struct {
	Train, Val Counts

	Unread        []error  // what the source gave in the place of examples
	MissingImages []string // images that are not there, or empty, or no files
	NoCaptions    []string // examples that have none
	EmptyCaptions []string // examples of which some caption is empty
	DuplicateIDs  []string // ids that name a second example in the same set
	Overlap       []string // images of val that are also in train: the same file, or a file of the same name and content
}

// Counts is the size of a set.
type Counts struct{ Examples, Captions int }

// Check reads all examples of a training set and, unless val is nil, of a validation set, and looks for every image
// without decoding it. It finds the problems that would stop a run, or spoil what it measures, before it begins. The
// same image under another name is not found.
func Check(train, val Source) *Report {
	r := &Report{}
	c := checker{report: r, folders: map[string]string{}, files: map[string]bool{}, names: map[string][]sized{}}
	if val == nil {
		c.set(train, "train", &r.Train, func(Example, int64) {})
		return r
	}
	c.set(train, "train", &r.Train, c.remember)
	c.set(val, "val", &r.Val, c.compare)
	return r
}

// Err is nil if nothing was found, else one error of a line with all counts and the first of each kind.
func (r *Report) Err() error {
	var parts []string
	list := func(what string, names []string) {
		if len(names) > 0 {
			parts = append(parts, fmt.Sprintf("%d %s (first: %q)", len(names), what, names[0]))
		}
	}
	if len(r.Unread) > 0 {
		parts = append(parts, fmt.Sprintf("%d unreadable (first: %v)", len(r.Unread), r.Unread[0]))
	}
	list("missing images", r.MissingImages)
	list("examples without captions", r.NoCaptions)
	list("examples with empty captions", r.EmptyCaptions)
	list("duplicate ids", r.DuplicateIDs)
	list("images both in train and val", r.Overlap)
	if r.Train.Examples == 0 {
		parts = append(parts, "no examples to train on")
	}
	if len(parts) == 0 {
		return nil
	}
	return errors.New("check data: " + strings.Join(parts, "; "))
}

type checker struct {
	report  *Report
	folders map[string]string  // where they are without links
	files   map[string]bool    // the images of train, by where they are
	names   map[string][]sized // and by the last part of their name
}

type sized struct {
	Example
	size int64
}

func (c *checker) set(s Source, name string, n *Counts, each func(e Example, size int64)) {
	ids := map[string]bool{}
	for e, err := range s {
		if err != nil {
			c.report.Unread = append(c.report.Unread, err)
			continue
		}
		n.Examples++
		n.Captions += len(e.Captions)
		who := fmt.Sprintf("%s %s", name, e.ID)
		if ids[e.ID] {
			c.report.DuplicateIDs = append(c.report.DuplicateIDs, who)
		}
		ids[e.ID] = true
		if len(e.Captions) == 0 {
			c.report.NoCaptions = append(c.report.NoCaptions, who)
		}
		for _, caption := range e.Captions {
			if record.Trim(caption) == "" {
				c.report.EmptyCaptions = append(c.report.EmptyCaptions, who)
				break
			}
		}
		size := sizeOf(e)
		if size <= 0 {
			c.report.MissingImages = append(c.report.MissingImages, who+": "+e.Name())
		}
		each(e, size)
	}
}

// sizeOf is the size of an image's file, or 0 if it cannot be read.
func sizeOf(e Example) int64 {
	if e.Archive != "" {
		return e.size
	}
	info, err := os.Stat(e.Path)
	if err != nil || !info.Mode().IsRegular() {
		return 0
	}
	return info.Size()
}

// place is where an image is, however the path of its folder was written.
func (c *checker) place(e Example) string {
	path := e.Path
	if e.Archive != "" {
		path = e.Archive
	}
	folder := filepath.Dir(path)
	real, ok := c.folders[folder]
	if !ok {
		real = folder
		if whole, err := filepath.Abs(real); err == nil {
			real = whole
		}
		if target, err := filepath.EvalSymlinks(real); err == nil {
			real = target
		}
		c.folders[folder] = real
	}
	real = filepath.Join(real, filepath.Base(path))
	if e.Archive != "" {
		return real + ":" + e.Path
	}
	return real
}

func (c *checker) remember(e Example, size int64) {
	c.files[c.place(e)] = true
	base := filepath.Base(e.Path)
	c.names[base] = append(c.names[base], sized{e, size})
}

func (c *checker) compare(e Example, size int64) {
	if c.files[c.place(e)] {
		c.report.Overlap = append(c.report.Overlap, fmt.Sprintf("val %s: %s", e.ID, e.Name()))
		return
	}
	for _, other := range c.names[filepath.Base(e.Path)] {
		if other.size == size && samePicture(other.Example, e) {
			c.report.Overlap = append(c.report.Overlap, fmt.Sprintf("val %s: %s is %s", e.ID, e.Name(), other.Name()))
			return
		}
	}
}

func samePicture(a, b Example) bool {
	x, err := a.Bytes()
	if err != nil {
		return false
	}
	y, err := b.Bytes()
	return err == nil && len(x) > 0 && bytes.Equal(x, y)
}
