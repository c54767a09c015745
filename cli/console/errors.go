package console

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// usageError is a command line that makes no sense.
type usageError struct {
	msg  string
	hint string
}

func (e *usageError) Error() string { return e.msg }
func (e *usageError) Hint() string  { return e.hint }

// Usagef is an error of usage: nothing was begun. hint is its remedy; "" for none.
func Usagef(hint, format string, args ...any) error {
	return &usageError{msg: fmt.Sprintf(format, args...), hint: hint}
}

// hinted is an error with its remedy.
type hinted struct {
	error
	hint string
}

func (e hinted) Unwrap() error { return e.error }
func (e hinted) Hint() string  { return e.hint }

// WithHint adds a remedy to an error that carries none; nil stays nil.
func WithHint(err error, format string, args ...any) error {
	if err == nil || HintOf(err) != "" {
		return err
	}
	return hinted{err, fmt.Sprintf(format, args...)}
}

// HintOf is the remedy that an error carries, whatever room it comes from; "" if none.
func HintOf(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

// Report says why a command failed: one line and its hint, and with --json the same as an object on standard output.
func (con *Console) Report(err error) {
	switch {
	case errors.Is(err, ErrSome), errors.Is(err, ErrReported), errors.Is(err, ErrInterrupted), errors.Is(err,
		context.Canceled),
		errors.Is(err, syscall.EPIPE):
		return
	}
	con.Term.Fail(err)
	if con.Options.JSON {
		// a failure to say so has nobody left to hear it
		_ = WriteJSON(con.Stdout, ErrorLine{Error: Message(err), Hint: HintOf(err)})
	}
}

// ErrorLine is how --json reports a failure; Path is set where it concerns one input.
type ErrorLine struct {
	Path      string `json:"path,omitempty"`
	PathBytes []byte `json:"path_bytes,omitempty"`
	Error     string `json:"error"`
	Hint      string `json:"hint,omitempty"`
}

// OneOf checks a flag that takes one of a few words.
func OneOf(flag, value string, words ...string) error {
	for _, w := range words {
		if value == w {
			return nil
		}
	}
	return Usagef("", "%s %q: want %s", flag, value, strings.Join(words, ", "))
}
