package output

import (
	"errors"
	"io/fs"
	"os"

	"captioner/cli/console"
)

// Failures is a file that lists what failed, one JSON object a line. It is there only if something did.
type Failures struct {
	path string
	file *os.File
	err  error // the first that kept it from being written; later failures are not listed
}

// NewFailures takes an earlier run's list away.
func NewFailures(path string) (*Failures, error) {
	if path == "" {
		return nil, nil
	}
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return nil, console.Usagef("", "--failures %q: it is a %s, want a file", path, console.Kind(info.Mode()))
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return &Failures{path: path}, nil
}

// Add lists one. A list that cannot be written must not end the run: what it holds was said on standard error too.
func (f *Failures) Add(l console.ErrorLine) {
	if f == nil || f.err != nil {
		return
	}
	if f.file == nil {
		if f.file, f.err = os.Create(f.path); f.err != nil {
			return
		}
	}
	f.err = console.WriteJSON(f.file, l)
}

// Listed says where, for the last line of a run.
func (f *Failures) Listed() string {
	if f == nil || f.file == nil || f.err != nil {
		return ""
	}
	return " (listed in " + console.Visible(f.path) + ")"
}

func (f *Failures) Close() error {
	if f == nil {
		return nil
	}
	if f.file != nil {
		f.err = errors.Join(f.err, f.file.Close())
	}
	return f.err
}
