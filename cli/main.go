// Package cli is captioner's command line: flags, streams, exit codes, progress, and the words in which things are reported. One file is one
// command, in three parts: newX describes it, XOptions holds what its flags set, runX does the work.
//
// It computes nothing itself: models, data and weights do, and they never print. Standard output carries results only; everything else goes
// to standard error.
package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"sync"
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

const exitCodeHelp = `Exit codes: 0 all done, 1 failed, 2 wrong usage, 3 some inputs failed, 130 interrupted.
The first Ctrl-C finishes what is in hand and saves it; the second quits at once.
Every flag can also be set by a variable: --beam-size by CAPTIONER_BEAM_SIZE, and so on.`

var (
	errInterrupted = errors.New("interrupted")
	errSome        = errors.New("some inputs failed") // already reported, one by one
	errReported    = errors.New("failed")             // already reported; the exit code is what is left to say
)

// Main runs the command that args name, args[0] being the program, and returns its exit code. It takes over SIGINT, SIGTERM and SIGPIPE
// while it runs. It may return before the command does, when a second signal asks to quit: then the process should end.
func Main(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return newProgram(stdin, stdout, stderr).main(ctx, args)
}

// program is one run: its streams, what the common flags say, and how models are opened.
type program struct {
	stdin  io.Reader
	stdout io.Writer
	common commonOptions
	term   *terminal
	open   opener
	args   []string // that the program was started with
}

func newProgram(stdin io.Reader, stdout, stderr io.Writer) *program {
	return &program{stdin: stdin, stdout: stdout, term: newTerminal(stderr, os.Getenv), open: openModel}
}

func (p *program) main(ctx context.Context, args []string) int {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	quit := p.watchSignals(stop)
	done := make(chan int, 1)
	go func() { done <- p.run(ctx, args) }()
	select {
	case code := <-done:
		return code
	case <-quit:
		return exitInterrupted
	}
}

// watchSignals cancels the run at the first signal and closes the returned channel at the second. A closed pipe must not kill the process
// while it has other files to finish: the write fails instead.
func (p *program) watchSignals(stop func()) <-chan struct{} {
	signals := make(chan os.Signal, 4)
	quit := make(chan struct{})
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGPIPE)
	go func() {
		asked := 0
		for s := range signals {
			if s == syscall.SIGPIPE {
				continue
			}
			switch asked++; asked {
			case 1:
				again := "a second signal quits at once"
				if s == os.Interrupt {
					again = "press Ctrl-C again to quit at once"
				}
				p.term.log.Warn("interrupted: finishing what is in hand; " + again)
				stop()
			case 2:
				close(quit)
			}
		}
	}()
	return quit
}

var configureOnce sync.Once // urfave/cli keeps some of its settings in package variables

func (p *program) run(ctx context.Context, args []string) int {
	configureOnce.Do(configure)
	p.args = args
	app := p.newApp()
	args, err := arrange(app, args)
	if err == nil {
		err = app.RunContext(ctx, args)
	}
	if err != nil {
		p.report(err)
	}
	return exitCode(err)
}

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
