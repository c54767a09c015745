package cli

import (
	"errors"
	"io/fs"
	"os"
)

// failures is a file that lists what failed, one JSON object a line. It is there only if something did.
type failures struct {
	path string
	file *os.File
	err  error // the first that kept it from being written; later failures are not listed
}

// newFailures takes an earlier run's list away.
func newFailures(path string) (*failures, error) {
	if path == "" {
		return nil, nil
	}
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return nil, usagef("", "--failures %q: it is a %s, want a file", path, kind(info.Mode()))
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return &failures{path: path}, nil
}

// add lists one. A list that cannot be written must not end the run: what it holds was said on standard error too.
func (f *failures) add(l errorLine) {
	if f == nil || f.err != nil {
		return
	}
	if f.file == nil {
		if f.file, f.err = os.Create(f.path); f.err != nil {
			return
		}
	}
	f.err = writeJSON(f.file, l)
}

// listed says where, for the last line of a run.
func (f *failures) listed() string {
	if f == nil || f.file == nil || f.err != nil {
		return ""
	}
	return " (listed in " + visible(f.path) + ")"
}

func (f *failures) close() error {
	if f == nil {
		return nil
	}
	if f.file != nil {
		f.err = errors.Join(f.err, f.file.Close())
	}
	return f.err
}
