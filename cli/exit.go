package cli

import (
	"context"
	"errors"
	"fmt"
	"syscall"
)

// Exit codes of every command. They are decided in exitCode and nowhere else.
const (
	exitDone        = 0   // all done; also when the reader of standard output wanted no more
	exitFailed      = 1   // nothing was done, or the work broke off
	exitUsage       = 2   // wrong usage: nothing was begun
	exitSome        = 3   // done, but some inputs failed; each was named
	exitInterrupted = 130 // ended by Ctrl-C or SIGTERM; what was in hand was finished and saved, unless there was a second one
)

var (
	errInterrupted = errors.New("interrupted")
	errSome        = errors.New("some inputs failed") // already reported, one by one
	errReported    = errors.New("failed")             // already reported; the exit code is what is left to say
)

func exitCode(err error) int {
	var usage *usageError
	var exited exitedError
	switch {
	case err == nil, errors.Is(err, syscall.EPIPE):
		return exitDone
	case errors.As(err, &exited):
		return int(exited)
	case errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, errSome):
		return exitSome
	case errors.Is(err, errInterrupted), errors.Is(err, context.Canceled):
		return exitInterrupted
	default:
		return exitFailed
	}
}

// exitedError is a process whose exit code is passed on; what it had to say it has said.
type exitedError int

func (e exitedError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func (e exitedError) Unwrap() error { return errReported }
