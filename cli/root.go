// Package cli is captioner's command line. One file is one command, in three parts: newX describes it, XOptions holds
// what its flags set, runX does the work with what the rooms below offer: console, flags, input, output, model,
// published, inspect, ranks, server and report.
//
// It computes nothing itself: models, data and weights do, and they never print.
package cli

import (
	"context"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/urfave/cli/v2"

	"captioner/cli/config"
	"captioner/cli/console"
	"captioner/cli/flags"
	"captioner/cli/fleet"
	"captioner/cli/help"
	"captioner/cli/model"
)

const exitCodeHelp = `Exit codes: 0 all done, 1 failed, 2 wrong usage, 3 some inputs failed, 130 interrupted.
The first Ctrl-C finishes what is in hand and saves it; the second quits at once.`

// Main runs the command that args name, args[0] being the program, and returns its exit code. It takes over SIGINT,
// SIGTERM and SIGPIPE while it runs. It may return before the command does, when a second signal asks to quit: then the
// process should end.
func Main(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return newProgram(stdin, stdout, stderr).main(ctx, args)
}

// program is one run: its console, and how models are loaded, for which tests put a fake.
type program struct {
	con    *console.Console
	help   helpWriter
	load   model.Loader
	unread []error // files of settings that cannot be read
}

func newProgram(stdin io.Reader, stdout, stderr io.Writer) *program {
	con := console.New(stdin, stdout, stderr)
	return &program{con: con, help: helpWriter{w: con.Stdout}, load: model.Load}
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
		return console.ExitInterrupted
	}
}

// watchSignals cancels the run at the first signal and closes the returned channel at the second. A closed pipe must
// not kill the process while it has other files to finish: the write fails instead.
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
				p.con.Term.Log.Warn("interrupted: finishing what is in hand; " + again)
				stop()
			case 2:
				close(quit)
			}
		}
	}()
	return quit
}

// unsettled are the commands that settings in a file say nothing of: they work also where such a file is wrong.
var unsettled = []string{"completion", "version", "config", "__complete", "__man", fleet.Command}

// settings puts what captioner.toml says into the arguments.
func (p *program) settings(app *cli.App, args []string) ([]string, error) {
	if len(args) < 2 || strings.HasPrefix(args[1], "-") || slices.Contains(unsettled, args[1]) {
		return args, nil
	}
	s, err := config.Load(app, os.Getenv)
	if err != nil {
		return nil, err
	}
	p.unread = s.Unread()
	return s.Apply(app, args, os.Getenv), nil
}

var configureOnce sync.Once // urfave/cli keeps some of its settings in package variables

func (p *program) run(ctx context.Context, args []string) int {
	configureOnce.Do(configure)
	p.con.Args = args
	app := p.newApp()
	args, err := flags.Arrange(app, args)
	if err == nil {
		if path, whole, asked := flags.Help(app, args); asked {
			err = help.Topic{App: app, Path: path, Columns: p.con.Columns()}.Print(p.con.Stdout, whole)
		} else if args, err = p.settings(app, args); err == nil {
			err = app.RunContext(ctx, args)
		}
	}
	if err == nil {
		err = p.help.err
	}
	if err != nil {
		p.con.Report(err)
	}
	return console.ExitCode(err)
}
