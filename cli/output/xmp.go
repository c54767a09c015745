package output

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"captioner/cli/console"
	"captioner/data/metadata/xmp"
	"captioner/weights"
	"captioner/weights/atomicfile"
)

// Tool names the program in metadata.
const Tool = "captioner " + console.Version

// isXMP says whether the sidecars are XMP: other programs keep in them what they know of an image, so a caption is put
// to what is there.
func (s *Sidecars) isXMP() bool { return strings.EqualFold(s.Extension, ".xmp") }

// described says whether an XMP file is there and has a description. One that cannot be read is tried again, and
// reported, when the caption is written.
func described(path string) bool {
	b, err := readXMP(path)
	if err != nil || len(b) == 0 {
		return false
	}
	p, err := xmp.Parse(b)
	return err == nil && p.Text(xmp.Description) != ""
}

// readXMP reads a file of XMP; none is empty.
func readXMP(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, weights.Reason(err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("it is a %s, want a file", weights.FileKind(info.Mode()))
	case info.Size() > xmp.MaxBytes:
		return nil, fmt.Errorf("%d bytes, limit %d", info.Size(), xmp.MaxBytes)
	}
	b, err := os.ReadFile(path)
	return b, weights.Reason(err)
}

// subjects are the keywords of an image, and those of its tags that are none of them.
func (r *Result) subjects() []string {
	all := words(r.Caption)
	for _, t := range r.tagWords() {
		if !slices.Contains(all, t) {
			all = append(all, t)
		}
	}
	return all
}

// edit is what the metadata of an image are to say.
func edit(r *Result, caption, existing string) xmp.Edit {
	return xmp.Edit{Text: caption, Keywords: r.subjects(), Tool: Tool, Existing: xmp.Existing(existing)}
}

// mergeXMP puts the caption of an image to the XMP at path, or makes a new file.
func (s *Sidecars) mergeXMP(path string, r *Result) error {
	old, err := readXMP(path)
	if err != nil {
		return &weights.FileError{Doing: "read sidecar", File: path, Err: err}
	}
	caption := s.Render(r)
	merged, err := xmp.Merge(old, edit(r, caption, s.Existing))
	if err != nil {
		return &weights.FileError{Doing: "write sidecar", File: path, Err: console.WithHint(err, "the file stays as it is")}
	}
	if bytes.Equal(merged, old) {
		return nil
	}
	var options []atomicfile.Option
	if len(old) == 0 { // it can be made again: see Write
		options = append(options, atomicfile.NoSync)
	}
	return s.put(path, merged, caption, options...)
}
