// Package formats opens a checkpoint by what it holds, and not by its name: a file of safetensors, PyTorch or NumPy,
// the shards that an index names, or a folder of Hugging Face or OpenCLIP with one of these.
//
// It knows the formats but no model: what the tensors are for is the caller's to find out.
package formats

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"captioner/weights"
	"captioner/weights/npy"
	"captioner/weights/pickle"
	"captioner/weights/safetensors"
)

// Open opens a file, a folder (see OpenFolder), or shards by the path of their index. The source must be closed. A file
// that is of no known format gives an *UnknownError; one that would run code in Python, a *pickle.RefusedError.
func Open(path string) (weights.Source, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("open %q: %w", path, weights.Reason(err))
	case info.IsDir():
		return OpenFolder(path)
	case strings.HasSuffix(path, IndexSuffix):
		return openShards(path)
	}
	return openFile(path)
}

func openFile(path string) (weights.Source, error) {
	begin, err := beginning(path)
	if err != nil {
		return nil, err
	}
	if npy.Is(begin) {
		return opened(npy.Open(path))
	}
	s, err := safetensors.Open(path)
	if err == nil {
		return s, nil
	}
	p, perr := pickle.Open(path)
	if perr == nil {
		return p, nil
	}
	var refused *pickle.RefusedError
	var system syscall.Errno
	switch what := foreign(begin); {
	case errors.As(perr, &refused), strings.HasPrefix(string(begin), "PK\x03\x04"): // as PyTorch's files begin
		return nil, perr
	case errors.As(err, &system):
		return nil, err
	case len(begin) == 0:
		return nil, fmt.Errorf("open %q: the file is empty, want weights", path)
	case what != "":
		return nil, fmt.Errorf("open %q: found %s, want a file of weights", path, what)
	}
	return nil, &UnknownError{path, err, perr}
}

// opened keeps a nil pointer out of the interface.
func opened[S weights.Source](s S, err error) (weights.Source, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

// beginning returns the first bytes of a file, fewer where it has fewer. What is no file is refused without being read.
func beginning(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("open %q: it is a %s, want a file", path, weights.FileKind(info.Mode()))
	}
	var f *os.File
	if err == nil {
		f, err = os.Open(path)
	}
	if err != nil {
		return nil, fmt.Errorf("open %q: %w", path, weights.Reason(err))
	}
	defer f.Close()
	b := make([]byte, 512)
	n, err := io.ReadFull(f, b)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, fmt.Errorf("read %q: %w", path, weights.Reason(err))
	}
	return b[:n], nil
}

// foreign names what downloads leave in the place of a file of weights; "" is anything else.
func foreign(begin []byte) string {
	text := strings.ToLower(strings.TrimSpace(string(begin)))
	switch {
	case strings.HasPrefix(text, "version https://git-lfs.github.com/spec/"):
		return "a pointer of Git LFS, which stands for a file that was not downloaded (git lfs pull does it)"
	case strings.HasPrefix(text, "<!doctype html"), strings.HasPrefix(text, "<html"):
		return "a web page, as a refused download leaves one"
	case strings.HasPrefix(text, "<?xml"):
		return "an XML document, as a refused download leaves one"
	}
	return ""
}

// UnknownError says that a file is of no known format.
type UnknownError struct {
	Path                string
	SafeTensors, Pickle error // what is wrong with it as the one and as the other
}

func (e *UnknownError) Error() string {
	if e.named() {
		return e.SafeTensors.Error()
	}
	return fmt.Sprintf("open %q: it is neither safetensors nor PyTorch's: %s; %s",
		e.Path, e.without(e.SafeTensors), e.without(e.Pickle))
}

// without is the text of an error that does not name the file once more.
func (e *UnknownError) without(err error) string {
	return strings.TrimPrefix(err.Error(), fmt.Sprintf("open %q: ", e.Path))
}

// named says whether the name of the file tells which format it should have.
func (e *UnknownError) named() bool { return strings.EqualFold(filepath.Ext(e.Path), ".safetensors") }

// Hint says what to do.
func (e *UnknownError) Hint() string {
	if e.named() {
		return "the file is damaged: fetch or copy it again"
	}
	return "captioner reads .safetensors, and .pt, .pth, .ckpt and .bin of PyTorch"
}

// Unwrap returns both reasons.
func (e *UnknownError) Unwrap() []error { return []error{e.SafeTensors, e.Pickle} }
