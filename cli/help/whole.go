package help

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
)

// everywhere are the flags that all commands have.
var everywhere = map[string]bool{"json": true, "quiet": true, "verbose": true, "log-format": true, "help": true}

// whole is everything: usage, description, examples, all flags by their groups.
func (t Topic) whole(s *strings.Builder, c *cli.Command) {
	usage, description, commands, flags := t.App.Usage, t.App.Description, t.App.Commands, []cli.Flag(nil)
	if c != nil {
		usage, description, commands, flags = c.Usage, c.Description, c.Subcommands, c.Flags
	}
	t.wrap(s, 0, 2, t.name()+": "+usage)
	s.WriteString("\nUSAGE\n")
	t.wrap(s, 2, 6, t.usage(c))
	if description != "" {
		s.WriteString("\nDESCRIPTION\n")
		for _, p := range paragraphs(description) {
			t.wrap(s, 2, 2, p)
		}
	}
	if about := shorts[strings.Join(t.Path, " ")]; len(about.examples) > 0 {
		s.WriteString("\nEXAMPLES\n")
		for _, x := range about.examples {
			fmt.Fprintf(s, "  %s\n", x.line)
			t.wrap(s, 6, 6, x.what)
		}
	}
	if len(commands) > 0 {
		s.WriteString("\nCOMMANDS\n")
		t.commands(s, commands)
	}
	if c == nil || len(c.Subcommands) == 0 {
		t.flags(s, flags)
	}
	s.WriteString("\n")
	t.wrap(s, 0, 0, variables)
}

// variables is the one line that the help has for the variables of the environment and the file of settings.
const variables = "Every flag can be set by a variable of the environment (--beam-size by CAPTIONER_BEAM_SIZE) " +
	"and by captioner.toml (\"captioner config --help\")."

// flags writes flags by their groups.
func (t Topic) flags(s *strings.Builder, flags []cli.Flag) {
	for _, g := range grouped(flags) {
		fmt.Fprintf(s, "\n%s\n", g.name)
		for _, d := range g.flags {
			t.flag(s, d)
		}
	}
}

// group is the flags that belong together.
type group struct {
	name  string
	flags []cli.DocGenerationFlag
}

// grouped are flags by their groups, in the order in which these first come.
func grouped(flags []cli.Flag) (groups []group) {
	for _, f := range flags {
		d, ok := f.(cli.DocGenerationFlag)
		if !ok {
			continue
		}
		name := "FLAGS"
		if g, ok := f.(cli.CategorizableFlag); ok && g.GetCategory() != "" {
			name = g.GetCategory()
		}
		if everywhere[f.Names()[0]] {
			name = "EVERY COMMAND"
		}
		i := slices.IndexFunc(groups, func(g group) bool { return g.name == name })
		if i < 0 {
			i, groups = len(groups), append(groups, group{name: name})
		}
		groups[i].flags = append(groups[i].flags, d)
	}
	return groups
}

// flagColumn is where what a flag does begins.
const flagColumn = 28

// flag writes a flag: its names, and what it does beside them or below.
func (t Topic) flag(s *strings.Builder, d cli.DocGenerationFlag) {
	usage, _ := placeholder(d)
	if value := defaultOf(d); value != "" {
		usage += " (default: " + value + ")"
	}
	names := "  " + spelling(d)
	if utf8.RuneCountInString(names) > flagColumn-2 {
		s.WriteString(names + "\n")
		names = ""
	}
	var text strings.Builder
	t.wrap(&text, flagColumn, flagColumn, usage)
	line := text.String()
	if names != "" {
		line = names + strings.Repeat(" ", flagColumn-utf8.RuneCountInString(names)) + strings.TrimLeft(line, " ")
	}
	s.WriteString(line)
}

// spelling is all names of a flag with its value: "-o, --out FILE".
func spelling(d cli.DocGenerationFlag) string {
	var short, long []string
	for _, name := range d.(cli.Flag).Names() {
		if len(name) == 1 {
			short = append(short, "-"+name)
		} else {
			long = append(long, "--"+name)
		}
	}
	names := strings.Join(append(short, long...), ", ")
	if _, value := placeholder(d); d.TakesValue() {
		names += " " + value
	}
	return names
}

// placeholder splits a usage into its text and the name of the flag's value, which stands in it in backticks.
func placeholder(d cli.DocGenerationFlag) (usage, value string) {
	usage = d.GetUsage()
	if _, rest, ok := strings.Cut(usage, "`"); ok {
		if value, _, ok := strings.Cut(rest, "`"); ok {
			return strings.ReplaceAll(usage, "`", ""), value
		}
	}
	switch d.(type) {
	case *cli.IntFlag, *cli.Int64Flag, *cli.Uint64Flag, *cli.Float64Flag:
		return usage, "N"
	case *cli.DurationFlag:
		return usage, "TIME"
	}
	return usage, "TEXT"
}

// defaultOf is what a flag is where it is not given; "" for what needs no words.
func defaultOf(d cli.DocGenerationFlag) string {
	if f, ok := d.(*cli.BoolFlag); ok {
		if f.Value {
			return "on"
		}
		return ""
	}
	text := strings.Trim(d.GetDefaultText(), `"`)
	if text == "" && d.GetValue() != "[]" {
		text = d.GetValue()
	}
	return text
}

// paragraphs joins the lines of a text that belong together. Lines that begin with a space, or hold two spaces side by
// side, are a table and stay as they are.
func paragraphs(text string) []string {
	var out []string
	open := false // the last one goes on
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		table := isTable(line)
		switch {
		case line == "":
			out, open = append(out, ""), false
		case open && !table:
			out[len(out)-1] += " " + line
		default:
			out, open = append(out, line), !table
		}
	}
	return out
}

// isTable says whether a line of a text stays as it is.
func isTable(line string) bool { return strings.HasPrefix(line, " ") || strings.Contains(line, "  ") }

// wrap writes a text in lines that fit, the first behind some spaces and the others behind as many as hang says.
func (t Topic) wrap(s *strings.Builder, first, hang int, text string) {
	if text == "" {
		s.WriteString("\n")
		return
	}
	if strings.Contains(text, "  ") { // of a table
		s.WriteString(strings.Repeat(" ", first) + text + "\n")
		return
	}
	line := strings.Repeat(" ", first)
	empty := true
	for word := range strings.FieldsSeq(text) {
		if !empty && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > t.columns() {
			s.WriteString(line + "\n")
			line, empty = strings.Repeat(" ", hang), true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	s.WriteString(line + "\n")
}
