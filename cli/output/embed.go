package output

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"captioner/cli/console"
	"captioner/cli/input"
	"captioner/data/image"
	"captioner/data/metadata"
	"captioner/weights"
	"captioner/weights/atomicfile"
)

// Embed writes captions into the images themselves.
type Embed struct {
	Existing  string // one of Policies
	KeepTimes bool   // the files keep their times
	Render    func(*Result) string
	Dry       func(string) // is told what would be written, and nothing is; nil writes

	places  input.Places
	written map[string]input.Stamp // of each file that this run wrote, by its place
}

// Skips says whether an image of these bytes needs no caption, because it has a description that shall stay.
func (e *Embed) Skips(b []byte) bool {
	return e.Existing == "skip" && metadata.Read(b).Description != ""
}

// Write writes the caption of an image into its file, whole or not at all. A file that has changed since it was read is
// left alone.
func (e *Embed) Write(r *Result) error {
	if r.Open != nil {
		return fmt.Errorf("write metadata into %q: it is no file of its own", r.Path)
	}
	before, err := os.Stat(r.Path)
	if err != nil {
		return &weights.FileError{Doing: "write metadata into", File: r.Path, Err: weights.Reason(err)}
	}
	place := placeOf(&e.places, r.Path)
	if now := input.StampOf(before); now != r.Stamp && now != e.written[place] { // the image may be named twice
		return fmt.Errorf("write metadata into %q: it changed while it was captioned", r.Path)
	}
	b, err := image.ReadFile(r.Path)
	if err != nil {
		return &weights.FileError{Doing: "write metadata into", File: r.Path, Err: err}
	}
	caption := e.Render(r)
	if strings.TrimSpace(caption) == "" {
		return nil
	}
	change, err := metadata.Edit(b, edit(r, caption, e.Existing))
	if errors.Is(err, metadata.ErrDescribed) {
		return nil
	}
	if err != nil {
		return &weights.FileError{Doing: "write metadata into", File: r.Path, Err: err}
	}
	what := strings.Join(change.Written, ", ")
	switch {
	case e.Dry != nil && what == "":
		e.Dry(fmt.Sprintf("%q would stay as it is", r.Path))
		return nil
	case e.Dry != nil:
		e.Dry(fmt.Sprintf("would write %s into %q: %s", what, r.Path, console.Visible(caption)))
		return nil
	case change.Bytes == nil:
		return nil
	}
	if err := e.put(r, change.Bytes, before); err != nil {
		return err
	}
	if e.written == nil {
		e.written = make(map[string]input.Stamp)
	}
	e.written[place] = r.Stamp
	return nil
}

// put replaces the file of an image; before is what it was.
func (e *Embed) put(r *Result, b []byte, before os.FileInfo) error {
	if err := atomicfile.WriteFile(r.Path, func(w io.Writer) error { _, err := w.Write(b); return err }); err != nil {
		return err
	}
	if e.KeepTimes {
		if err := os.Chtimes(r.Path, accessed(before), before.ModTime()); err != nil {
			return fmt.Errorf("keep the times of %q: %w", r.Path, weights.Reason(err))
		}
	}
	if after, err := os.Stat(r.Path); err == nil { // so that --resume knows it again
		r.Stamp = input.StampOf(after)
	}
	return nil
}
