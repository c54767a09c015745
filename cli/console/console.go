// Package console is what every command of captioner sees of the outside: its streams, the terminal with one kind of
// progress, errors with their hints and exit codes, results as lines of JSON, and texts made safe to print.
//
// Standard output carries results only. Everything else goes to the terminal, which is standard error.
package console

import (
	"fmt"
	"io"
	"os"
)

// Console is what a command has of the outside: its streams, and what the common flags say of them. Standard output
// carries results only; everything else goes to the terminal, which is standard error.
type Console struct {
	Stdin   io.Reader
	Stdout  io.Writer
	Term    *Terminal
	Options Options
	Args    []string // that the program was started with
}

// New is the console of a run whose standard streams these are.
func New(stdin io.Reader, stdout, stderr io.Writer) *Console {
	return &Console{Stdin: stdin, Stdout: stdout, Term: newTerminal(stderr, os.Getenv)}
}

// Printf writes to standard output.
func (con *Console) Printf(format string, args ...any) error {
	_, err := fmt.Fprintf(con.Stdout, format, args...)
	return err
}

// Options are the flags that every command has.
type Options struct {
	Quiet, Verbose, JSON bool
	LogFormat            string // "text" or "json"
}
