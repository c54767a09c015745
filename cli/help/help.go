// Package help prints what a command is for: short, on one screen, for -h; whole, with all flags by their groups, for
// --help. Text is wrapped to the terminal. Variables of the environment stand in the man pages.
package help

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
)

// Topic is what help is asked about: a command by its path, without the program's name; nil is the program.
type Topic struct {
	App     *cli.App
	Path    []string
	Columns int // of the terminal
}

// Print writes the help: short or whole.
func (t Topic) Print(w io.Writer, whole bool) error {
	var s strings.Builder
	c := t.command()
	switch {
	case whole:
		t.whole(&s, c)
	case c == nil:
		t.program(&s)
	default:
		t.short(&s, c)
	}
	_, err := io.WriteString(w, s.String())
	return err
}

// command is the command of the path; nil for the program.
func (t Topic) command() *cli.Command {
	var found *cli.Command
	list := t.App.Commands
	for _, name := range t.Path {
		for _, c := range list {
			if c.HasName(name) {
				found, list = c, c.Subcommands
				break
			}
		}
	}
	return found
}

// name is the command as it is typed.
func (t Topic) name() string { return strings.Join(append([]string{t.App.Name}, t.Path...), " ") }

// usage is the line that says how a command is called.
func (t Topic) usage(c *cli.Command) string {
	switch {
	case c == nil:
		return t.App.UsageText
	case len(c.Subcommands) > 0:
		return t.name() + " COMMAND [flags] [arguments]"
	}
	return strings.TrimRight(t.name()+" [flags] "+c.ArgsUsage, " ")
}

// short is one screen: usage, examples, the flags that matter.
func (t Topic) short(s *strings.Builder, c *cli.Command) {
	t.wrap(s, 0, 2, t.name()+": "+c.Usage)
	s.WriteString("\n")
	t.wrap(s, 0, 7, "Usage: "+t.usage(c))
	if len(c.Subcommands) > 0 {
		s.WriteString("\n")
		t.commands(s, c.Subcommands)
		fmt.Fprintf(s, "\n\"%s COMMAND -h\" has examples, --help all flags.\n", t.name())
		return
	}
	about := shorts[strings.Join(t.Path, " ")]
	if len(about.examples) > 0 {
		s.WriteString("\nExamples:\n")
		var rows [][2]string
		for _, x := range about.examples {
			rows = append(rows, [2]string{x.line, x.what})
		}
		t.table(s, rows)
	}
	rows := about.rows(c)
	if len(rows) == 0 {
		rows = ownFlags(c)
	}
	s.WriteString("\nFlags:\n")
	t.table(s, append(rows, [2]string{"    --help", "all flags, with their defaults"}))
}

// ownFlags are the flags of a command that has few, without those that all commands have.
func ownFlags(c *cli.Command) (rows [][2]string) {
	for _, f := range c.Flags {
		d, ok := f.(cli.DocGenerationFlag)
		if name := f.Names()[0]; !ok || everywhere[name] {
			continue
		}
		usage, _ := placeholder(d)
		rows = append(rows, [2]string{spelling(d), usage})
	}
	return rows
}

// program is the short help of the program.
func (t Topic) program(s *strings.Builder) {
	fmt.Fprintf(s, "%s: %s\n\nUsage: %s\n\nExamples:\n", t.App.Name, t.App.Usage, t.App.UsageText)
	var rows [][2]string
	for _, x := range shorts[""].examples {
		rows = append(rows, [2]string{x.line, x.what})
	}
	t.table(s, rows)
	s.WriteString("\nCommands:\n")
	t.commands(s, t.App.Commands)
	s.WriteString("\n\"captioner COMMAND -h\" has examples, \"captioner COMMAND --help\" all flags.\n")
}

func (t Topic) commands(s *strings.Builder, list []*cli.Command) {
	var rows [][2]string
	for _, c := range list {
		if !c.Hidden {
			rows = append(rows, [2]string{c.Name, c.Usage})
		}
	}
	t.lines(s, rows)
}

// table writes rows of two columns, each row on one line: what has no room is cut.
func (t Topic) table(s *strings.Builder, rows [][2]string) {
	width := 0
	for _, r := range rows {
		width = max(width, utf8.RuneCountInString(r[0]))
	}
	for _, r := range rows {
		line := fmt.Sprintf("  %-*s  %s", width, r[0], r[1])
		s.WriteString(strings.TrimRight(cut(line, t.columns()), " ") + "\n")
	}
}

// lines writes rows of two columns, the second one wrapped.
func (t Topic) lines(s *strings.Builder, rows [][2]string) {
	width := 0
	for _, r := range rows {
		width = max(width, utf8.RuneCountInString(r[0]))
	}
	for _, r := range rows {
		var text strings.Builder
		t.wrap(&text, width+4, width+4, r[1])
		fmt.Fprintf(s, "  %-*s  %s", width, r[0], strings.TrimLeft(text.String(), " "))
	}
}

// The widths that text is wrapped to.
const (
	leastColumns = 40
	mostColumns  = 120
)

func (t Topic) columns() int { return max(leastColumns, min(mostColumns, t.Columns)) - 1 }

func cut(line string, columns int) string {
	if utf8.RuneCountInString(line) <= columns {
		return line
	}
	return string([]rune(line)[:columns-1]) + "…"
}
