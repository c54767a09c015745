package console

import (
	"context"
	"errors"
	"fmt"
	"syscall"
)

// Exit codes of every command. They are decided in exitCode and nowhere else.
const (
	ExitDone   = 0 // all done; also when the reader of standard output wanted no more
	ExitFailed = 1 // nothing was done, or the work broke off
	ExitUsage  = 2 // wrong usage: nothing was begun
	ExitSome   = 3 // done, but some inputs failed; each was named
	// ended by Ctrl-C or SIGTERM; what was in hand was finished and saved, unless there was a second one
	ExitInterrupted = 130
)

var (
	ErrInterrupted = errors.New("interrupted")
	ErrSome        = errors.New("some inputs failed") // already reported, one by one
	ErrReported    = errors.New("failed")             // already reported; the exit code is what is left to say
)

// ExitCode is the exit code of a command that ended with err.
func ExitCode(err error) int {
	var usage *usageError
	var exited ExitedError
	switch {
	case err == nil, errors.Is(err, syscall.EPIPE):
		return ExitDone
	case errors.As(err, &exited):
		return int(exited)
	case errors.As(err, &usage):
		return ExitUsage
	case errors.Is(err, ErrSome):
		return ExitSome
	case errors.Is(err, ErrInterrupted), errors.Is(err, context.Canceled):
		return ExitInterrupted
	default:
		return ExitFailed
	}
}

// ExitedError is a process whose exit code is passed on; what it had to say it has said.
type ExitedError int

func (e ExitedError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func (e ExitedError) Unwrap() error { return ErrReported }
