package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"

	"captioner/weights"
)

// An Error says what could not be done with which file.
type Error struct {
	Doing   string // "open model"
	Path    string // of the file or folder; "" for bytes in memory
	Encoder bool   // the file is an encoder's, not a captioner's
	Err     error
	named   bool // Err names the path itself
}

func (e *Error) Error() string {
	if e.named {
		return fmt.Sprintf("%s: %v", e.Doing, e.Err)
	}
	return fmt.Sprintf("%s %q: %v", e.Doing, e.Path, e.Err)
}

// Unwrap returns what is wrong.
func (e *Error) Unwrap() error { return e.Err }

// About returns the file, and what is wrong with it; bytes in memory are the built-in model.
func (e *Error) About() (string, error) {
	if e.Path == "" {
		return "the built-in model", e.Err
	}
	return e.Path, e.Err
}

// Hint says what can be done: what the cause says itself, or what is common for files of this kind.
func (e *Error) Hint() string {
	var inner interface{ Hint() string }
	var key *weights.KeyError
	inspect := fmt.Sprintf("\"captioner weights inspect %s\"", e.Path)
	switch {
	case errors.As(e.Err, &inner) && inner.Hint() != "":
		return inner.Hint()
	case errors.Is(e.Err, fs.ErrPermission):
		return ""
	case errors.Is(e.Err, fs.ErrNotExist) && e.Encoder:
		return "check the spelling; \"captioner weights list\" has the names that --encoder takes"
	case errors.Is(e.Err, fs.ErrNotExist):
		return "check the spelling; without --model the built-in model is used"
	case e.Path == "":
		return "the program itself is damaged: build it again"
	case e.Encoder:
		return inspect + " says what it is"
	case errors.As(e.Err, &key):
		return inspect + " lists what the file holds"
	case errors.Is(e.Err, ErrNotCaptioner):
		return inspect + " says what it is; \"captioner weights convert\" with --to tensors converts any file of tensors"
	}
	return "the file is damaged or not a captioner's: fetch or copy it again; " + inspect + " says what it is"
}

// unfit says that an encoder is none that a captioner can use.
type unfit struct {
	path string // of the encoder
	error
}

// Unwrap returns what is wrong.
func (e *unfit) Unwrap() error { return e.error }

// Hint says how to find out what the file is.
func (e *unfit) Hint() string {
	return fmt.Sprintf("\"captioner weights inspect %s\" says what it is", e.path)
}
