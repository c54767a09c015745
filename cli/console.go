package cli

import (
	"fmt"
	"io"
	"os"
)

// console is what a command has of the outside: its streams, and what the common flags say of them. Standard output carries results only;
// everything else goes to the terminal, which is standard error.
type console struct {
	stdin  io.Reader
	stdout io.Writer
	term   *terminal
	common commonOptions
	args   []string // that the program was started with
}

func newConsole(stdin io.Reader, stdout, stderr io.Writer) *console {
	return &console{stdin: stdin, stdout: stdout, term: newTerminal(stderr, os.Getenv)}
}

// printf writes to standard output.
func (p *console) printf(format string, args ...any) error {
	_, err := fmt.Fprintf(p.stdout, format, args...)
	return err
}

// commonOptions are the flags that every command has.
type commonOptions struct {
	Quiet, Verbose, JSON bool
	LogFormat            string // "text" or "json"
}
