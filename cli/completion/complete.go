package completion

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"captioner/cli/console"
	"captioner/cli/flags"
)

// candidate is a word that may stand next, and what it is.
type candidate struct{ word, about string }

// complete is what the last of some words can become.
func complete(con *console.Console, app *cli.App, words []string) []candidate {
	if len(words) == 0 {
		words = []string{""}
	}
	at, ok := follow(app, words[:len(words)-1])
	if !ok {
		return nil
	}
	last := words[len(words)-1]
	name, value, inline := strings.Cut(last, "=")
	var all []candidate
	var isFile bool
	switch {
	case at.value != "":
		all, isFile = valuesOf(con, at.path, at.value)
	case inline && strings.HasPrefix(name, "--"):
		f := flags.Named(at.flags(), strings.TrimPrefix(name, "--"))
		if f == nil {
			return nil
		}
		all, _ = valuesOf(con, at.path, f.Names()[0])
		return begin(all, value, name+"=")
	case strings.HasPrefix(last, "-"):
		all = flagNames(at.flags(), at.given)
	case !at.leaf:
		all = commandNames(at.commands)
	default:
		all, isFile = argumentsOf(con, at.path, app)
	}
	found := begin(all, last, "")
	if isFile && len(found) > 0 {
		found = append(found, candidate{word: files})
	}
	return found
}

// begin keeps the candidates that begin with a text, with a prefix before each.
func begin(all []candidate, text, prefix string) (found []candidate) {
	for _, c := range all {
		if strings.HasPrefix(c.word, text) {
			found = append(found, candidate{prefix + c.word, c.about})
		}
	}
	return found
}

// position is where a command line has come to.
type position struct {
	commands []*cli.Command // that may follow
	own      []cli.Flag     // of the command
	path     string         // of the command: "weights fetch"
	leaf     bool           // no command follows
	value    string         // the flag whose value comes next; "" for none
	given    []string       // flags that stand there already, by their first names
}

func (p *position) flags() []cli.Flag { return flags.KnownFlags(p.commands, p.own, p.leaf) }

// follow reads whole words; ok is false where nothing can be said of what comes next.
func follow(app *cli.App, words []string) (p position, ok bool) {
	p = position{commands: app.Commands, own: app.Flags}
	for _, w := range words {
		name, _, inline := strings.Cut(strings.TrimLeft(w, "-"), "=")
		switch {
		case p.value != "":
			p.value = ""
		case w == "--":
			return p, false
		case strings.HasPrefix(w, "-") && len(w) > 1:
			f := flags.Named(p.flags(), name)
			if f == nil {
				continue
			}
			p.given = append(p.given, f.Names()[0])
			if flags.TakesValue(f) && !inline {
				p.value = f.Names()[0]
			}
		case !p.leaf:
			c := flags.FindCommand(p.commands, w)
			if c == nil {
				return p, false
			}
			p.path = strings.TrimPrefix(p.path+" "+c.Name, " ")
			p.commands, p.own, p.leaf = c.Subcommands, c.Flags, len(c.Subcommands) == 0
		}
	}
	return p, true
}

// flagNames are flags with what they do, but those that are there and stand once.
func flagNames(all []cli.Flag, given []string) (out []candidate) {
	seen := map[string]bool{}
	for _, f := range all {
		name := f.Names()[0]
		_, repeated := f.(*cli.StringSliceFlag)
		if seen[name] || slices.Contains(given, name) && !repeated {
			continue
		}
		seen[name] = true
		about := ""
		if d, ok := f.(cli.DocGenerationFlag); ok {
			about = brief(d.GetUsage())
		}
		out = append(out, candidate{"--" + name, about})
	}
	return out
}

func commandNames(commands []*cli.Command) (out []candidate) {
	for _, c := range commands {
		if !c.Hidden {
			out = append(out, candidate{c.Name, brief(c.Usage)})
		}
	}
	return out
}

// brief is the beginning of a usage: a few words for a list.
func brief(usage string) string {
	usage = strings.ReplaceAll(usage, "`", "")
	if i := strings.IndexAny(usage, ";("); i > 0 {
		usage = usage[:i]
	}
	const most = 60
	usage = strings.TrimSpace(usage)
	if runes := []rune(usage); len(runes) > most {
		usage = string(runes[:most-1]) + "…"
	}
	return usage
}
