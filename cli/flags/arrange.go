// Package flags holds the flags that several commands share (model, decoding, device, processes), puts flags before
// arguments, and words what is wrong with a command line.
package flags

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"captioner/cli/console"
)

// Arrange puts flags before arguments, where urfave/cli wants them: it would take a flag behind an argument for another
// argument, without a word. Flags may stand before the command too. Unknown commands and flags end here, with a
// suggestion.
//
// The result is: program, command, subcommand, flags, "--", arguments.
func Arrange(app *cli.App, args []string) ([]string, error) {
	if len(args) < 2 {
		return args, nil
	}
	var path, flags, rest []string
	commands, own := app.Commands, app.Flags
	leaf := false
	words := args[1:]
	for len(words) > 0 {
		word := words[0]
		words = words[1:]
		switch {
		case word == "--":
			rest = append(rest, words...)
			words = nil
		case len(word) > 1 && word[0] == '-':
			take, err := takeFlag(app, KnownFlags(commands, own, leaf), path, word, len(words))
			if err != nil {
				return nil, err
			}
			flags = append(flags, word)
			flags = append(flags, words[:take]...)
			words = words[take:]
		case leaf || len(commands) == 0:
			rest = append(rest, word)
		case word == "help" && len(path) == 0:
			flags = append(flags, "--help")
		default:
			c := FindCommand(commands, word)
			if c == nil {
				return nil, unknownCommand(commands, path, word, words)
			}
			path, commands, own = append(path, c.Name), c.Subcommands, c.Flags
			leaf = len(commands) == 0
		}
	}
	if !leaf && len(path) > 0 && !asksHelp(flags) {
		return nil, console.Usagef("run \"captioner "+strings.Join(path, " ")+" --help\" for the list",
			"%s: which one of %s?", strings.Join(path, " "), strings.Join(CommandNames(commands), ", "))
	}
	if leaf {
		if err := checkFlags(app, KnownFlags(nil, own, true), path, flags); err != nil {
			return nil, err
		}
	}
	out := append([]string{args[0]}, path...)
	out = append(out, flags...)
	if len(rest) > 0 {
		out = append(append(out, "--"), rest...)
	}
	return out, nil
}

// checkFlags checks the flags of a command with their values, and its variables. A flag that stood before the command
// may not be one of it.
func checkFlags(app *cli.App, all []cli.Flag, path, words []string) error {
	hint := helpHint(path)
	for i := 0; i < len(words); i++ {
		take, err := takeFlag(app, all, path, words[i], len(words)-i-1)
		if err != nil {
			return err
		}
		name, value, inline := strings.Cut(strings.TrimLeft(words[i], "-"), "=")
		if i += take; take == 1 {
			value = words[i]
		}
		if inline || take == 1 {
			if err := CheckValue(Named(all, name), "--"+name, value, hint); err != nil {
				return err
			}
		}
	}
	return checkVariables(all, hint)
}

func helpHint(path []string) string {
	return "run \"" + strings.Join(append([]string{"captioner"}, path...), " ") + " --help\" for the flags"
}

// KnownFlags are the flags that may stand here: those of the command, or before it those of any command.
func KnownFlags(commands []*cli.Command, own []cli.Flag, leaf bool) []cli.Flag {
	all := append([]cli.Flag{cli.HelpFlag}, own...)
	if leaf {
		return all
	}
	for _, c := range commands {
		all = append(all, KnownFlags(c.Subcommands, c.Flags, len(c.Subcommands) == 0)...)
	}
	return all
}

// takeFlag looks up the flag in word and says how many of the following words are its value: 0 or 1.
func takeFlag(app *cli.App, flags []cli.Flag, path []string, word string, following int) (int, error) {
	name, _, inline := strings.Cut(strings.TrimLeft(word, "-"), "=")
	if f := Named(flags, name); f != nil {
		switch {
		case inline || !TakesValue(f):
			return 0, nil
		case following == 0:
			return 0, console.Usagef("", "%s needs a value", Dashed(name))
		default:
			return 1, nil
		}
	}
	return 0, unknownFlag(app, flags, path, word)
}

// Dashed is a flag's name or alias as it is written: "--out", "-o".
func Dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// Named is the flag of a name or alias; nil for none.
func Named(flags []cli.Flag, name string) cli.Flag {
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

// TakesValue says whether a value follows a flag.
func TakesValue(f cli.Flag) bool {
	d, ok := f.(cli.DocGenerationFlag)
	return ok && d.TakesValue()
}

// FindCommand is the command of a name; nil for none.
func FindCommand(commands []*cli.Command, name string) *cli.Command {
	for _, c := range commands {
		if c.HasName(name) {
			return c
		}
	}
	return nil
}

// CommandNames are the names of the commands that the help shows.
func CommandNames(commands []*cli.Command) []string {
	var out []string
	for _, c := range commands {
		if !c.Hidden {
			out = append(out, c.Name)
		}
	}
	return out
}

func asksHelp(flags []string) bool {
	for _, f := range flags {
		if n := strings.TrimLeft(f, "-"); n == "help" || n == "h" {
			return true
		}
	}
	return false
}

// Help says whether arranged arguments ask for help, on which command, and for the whole of it.
func Help(app *cli.App, arranged []string) (path []string, whole, asked bool) {
	words := arranged[1:]
	commands, own := app.Commands, app.Flags
	for len(words) > 0 && !strings.HasPrefix(words[0], "-") {
		c := FindCommand(commands, words[0])
		if c == nil {
			break
		}
		path, commands, own, words = append(path, c.Name), c.Subcommands, c.Flags, words[1:]
	}
	for i := 0; i < len(words) && words[i] != "--"; i++ {
		name, _, inline := strings.Cut(strings.TrimLeft(words[i], "-"), "=")
		switch name {
		case "help":
			return path, true, true
		case "h":
			asked = true
		}
		if f := Named(KnownFlags(nil, own, true), name); f != nil && TakesValue(f) && !inline {
			i++
		}
	}
	return path, false, asked
}

// Nearest is the name that word was probably meant to be; "" if none is near.
func Nearest(word string, names []string) string {
	best, at := "", 1+len(word)/3 // one slip in three letters
	for _, n := range names {
		if d := distance(word, n); d <= at && len(n) > 1 {
			best, at = n, d-1
		}
	}
	return best
}

// distance counts the letters to insert, delete, replace or swap to get from a to b.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
