package cli

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

func usagef(hint, format string, args ...any) error {
	return &usageError{msg: fmt.Sprintf(format, args...), hint: hint}
}

// hinted is an error with its remedy.
type hinted struct {
	error
	hint string
}

func (e hinted) Unwrap() error { return e.error }
func (e hinted) Hint() string  { return e.hint }

func withHint(err error, format string, args ...any) error {
	if err == nil || hintOf(err) != "" {
		return err
	}
	return hinted{err, fmt.Sprintf(format, args...)}
}

// hintOf is the remedy that an error carries, whatever room it comes from; "" if none.
func hintOf(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

// report says why a command failed: one line and its hint, and with --json the same as an object on standard output.
func (p *console) report(err error) {
	switch {
	case errors.Is(err, errSome), errors.Is(err, errReported), errors.Is(err, errInterrupted), errors.Is(err, context.Canceled),
		errors.Is(err, syscall.EPIPE):
		return
	}
	p.term.fail(err)
	if p.common.JSON {
		_ = writeJSON(p.stdout, errorLine{Error: oneLine(err), Hint: hintOf(err)}) // a failure to say so has nobody left to hear it
	}
}

// errorLine is how --json reports a failure; Path is set where it concerns one input.
type errorLine struct {
	Path      string `json:"path,omitempty"`
	PathBytes []byte `json:"path_bytes,omitempty"`
	Error     string `json:"error"`
	Hint      string `json:"hint,omitempty"`
}

// oneOf checks a flag that takes one of a few words.
func oneOf(flag, value string, words ...string) error {
	for _, w := range words {
		if value == w {
			return nil
		}
	}
	return usagef("", "%s %q: want %s", flag, value, strings.Join(words, ", "))
}
