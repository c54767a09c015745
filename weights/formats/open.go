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
		return nil, &weights.FileError{Doing: "open", File: path, Err: weights.Reason(err)}
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
		return nil, &weights.FileError{Doing: "open", File: path, Err: errors.New("the file is empty, want weights")}
	case what != "":
		return nil, &weights.FileError{Doing: "open", File: path, Err: fmt.Errorf("found %s, want a file of weights", what)}
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
		return nil, &weights.FileError{Doing: "open", File: path,
			Err: fmt.Errorf("it is a %s, want a file", weights.FileKind(info.Mode()))}
	}
	var f *os.File
	if err == nil {
		f, err = os.Open(path)
	}
	if err != nil {
		return nil, &weights.FileError{Doing: "open", File: path, Err: weights.Reason(err)}
	}
	defer f.Close()
	b := make([]byte, 512)
	n, err := io.ReadFull(f, b)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, &weights.FileError{Doing: "read", File: path, Err: weights.Reason(err)}
	}
	return b[:n], nil
}

// isImage says whether a file begins like JPEG, PNG, GIF or WebP.
func isImage(begin string) bool {
	for _, magic := range []string{"\xff\xd8\xff", "\x89PNG\r", "GIF87a", "GIF89a"} {
		if strings.HasPrefix(begin, magic) {
			return true
		}
	}
	return strings.HasPrefix(begin, "RIFF") && len(begin) > 12 && begin[8:12] == "WEBP"
}

// foreign names what is found in the place of a file of weights; "" is anything else.
func foreign(begin []byte) string {
	if isImage(string(begin)) {
		return "an image"
	}
	return weights.Stray(begin)
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

// About returns the file, and what is wrong with it as the one and as the other format.
func (e *UnknownError) About() (file string, why error) {
	if e.named() {
		return e.Path, errors.New(e.without(e.SafeTensors))
	}
	return e.Path, fmt.Errorf("it is neither safetensors nor PyTorch's: %s; %s", e.without(e.SafeTensors),
		e.without(e.Pickle))
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
