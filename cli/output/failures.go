package output

import (
	"bufio"
	"encoding/json"
	"errors"
	"io/fs"
	"os"

	"captioner/cli/console"
	"captioner/weights"
	"captioner/weights/atomicfile"
)

// Failures is a file that lists what failed, one JSON object a line. It is there only if something did.
type Failures struct {
	Name string // by which the file is shown; "" is its path

	path string
	file *os.File
	err  error // the first that kept it from being written; later failures are not listed
}

// CheckFailures refuses a file that is there and is no such list: nobody's file is taken away.
func CheckFailures(path string) error {
	if path == "" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil // what is wrong with it, writing says
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return nil
	}
	line, _ := bufio.NewReader(f).ReadBytes('\n')
	var l console.ErrorLine
	if json.Unmarshal(line, &l) != nil || l.Error == "" {
		return console.Usagef("give another name", "--failures %q is there already, and is no list of failures", path)
	}
	return nil
}

// NewFailures takes an earlier run's list away.
func NewFailures(path string) (*Failures, error) {
	if path == "" {
		return nil, nil
	}
	if err := CheckFailures(path); err != nil {
		return nil, err
	}
	target, err := atomicfile.Target(path)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(target); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, weights.Reason(err)
	}
	return &Failures{path: path}, nil
}

// Add lists one. A list that cannot be written must not end the run: what it holds was said on standard error too.
func (f *Failures) Add(l console.ErrorLine) {
	if f == nil || f.err != nil {
		return
	}
	if f.file == nil {
		var target string
		if target, f.err = atomicfile.Target(f.path); f.err != nil {
			return
		}
		if f.file, f.err = os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666); f.err != nil {
			return
		}
	}
	f.err = console.WriteJSON(f.file, l)
}

// Listed is the file, for the last line of a run; "" where nothing is listed.
func (f *Failures) Listed() string {
	if f == nil || f.file == nil || f.err != nil {
		return ""
	}
	if f.Name != "" {
		return console.Visible(f.Name)
	}
	return console.Visible(f.path)
}

// Close ends the list.
func (f *Failures) Close() error {
	if f == nil {
		return nil
	}
	if f.file != nil {
		f.err = errors.Join(f.err, f.file.Close())
	}
	return f.err
}
