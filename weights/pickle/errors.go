package pickle

import (
	"errors"
	"fmt"
)

// FormatError reports a file that is broken or of a kind that this package does not read.
type FormatError struct {
	Path string // empty for bytes in memory
	Msg  string
}

func (e *FormatError) Error() string { return prefix(e.Path) + e.Msg }

// About returns the file, and what is wrong with it.
func (e *FormatError) About() (file string, why error) { return e.Path, errors.New("pickle: " + e.Msg) }

// RefusedError reports a pickle that would make Python call something other than a constructor of tensors and plain
// objects. Nothing was called.
type RefusedError struct {
	Path   string // empty for bytes in memory
	Global string // what it would call, such as "os.system"
}

func (e *RefusedError) Error() string {
	return prefix(e.Path) + fmt.Sprintf("the file calls %q, want only tensors and plain objects", e.Global)
}

// About returns the file, and what is wrong with it.
func (e *RefusedError) About() (file string, why error) {
	return e.Path, fmt.Errorf("pickle: the file calls %q, want only tensors and plain objects", e.Global)
}

// Hint says what a user can do about it.
func (e *RefusedError) Hint() string {
	return "do not load this file with Python unless you trust who made it: loading it would run code"
}

func prefix(path string) string {
	if path == "" {
		return "pickle: "
	}
	return fmt.Sprintf("open %q: pickle: ", path)
}

// typed makes every error of reading one of the two types, with the path that was opened.
func typed(err error, path string) error {
	var refused *RefusedError
	if errors.As(err, &refused) {
		return &RefusedError{Path: path, Global: refused.Global}
	}
	var format *FormatError
	if errors.As(err, &format) {
		return &FormatError{Path: path, Msg: format.Msg}
	}
	return &FormatError{Path: path, Msg: err.Error()}
}
