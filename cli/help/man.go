package help

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// Edition is what stands at the foot of a manual page.
type Edition struct{ Version, Date string }

// Pages are the paths of all commands that have a manual page, without the program's name; the program's own is empty.
func Pages(app *cli.App) (paths [][]string) {
	paths = append(paths, nil)
	var walk func(path []string, list []*cli.Command)
	walk = func(path []string, list []*cli.Command) {
		for _, c := range list {
			if c.Hidden {
				continue
			}
			p := append(slices.Clone(path), c.Name)
			paths = append(paths, p)
			walk(p, c.Subcommands)
		}
	}
	walk(nil, app.Commands)
	return paths
}

// PageName is what the manual page of a path is called: "captioner-weights-fetch".
func PageName(app *cli.App, path []string) string {
	return strings.Join(append([]string{app.Name}, path...), "-")
}

// Manual writes the manual page, as man(7) has it: what --help says, the variable of each flag, and which pages to see.
func (t Topic) Manual(w io.Writer, of Edition) error {
	var s strings.Builder
	c := t.command()
	usage, description, commands, flags := t.App.Usage, t.App.Description, t.App.Commands, []cli.Flag(nil)
	if c != nil {
		usage, description, commands, flags = c.Usage, c.Description, c.Subcommands, c.Flags
	}
	name := PageName(t.App, t.Path)
	fmt.Fprintf(&s, ".TH %s 1 %q %q\n", quoted(strings.ToUpper(name)), of.Date, "captioner "+of.Version)
	s.WriteString(".nh\n.ad l\n") // no hyphens in flags, no gaps in lines
	fmt.Fprintf(&s, ".SH NAME\n%s \\- %s\n", escaped(name), escaped(usage))
	fmt.Fprintf(&s, ".SH SYNOPSIS\n.B %s\n", escaped(t.usage(c)))
	if description != "" {
		s.WriteString(".SH DESCRIPTION\n")
		manParagraphs(&s, description)
	}
	t.manExamples(&s)
	if len(commands) > 0 {
		s.WriteString(".SH COMMANDS\n")
		for _, x := range commands {
			if !x.Hidden {
				fmt.Fprintf(&s, ".TP\n.B %s\n%s\n", escaped(x.Name), line(x.Usage))
			}
		}
	}
	if c != nil && len(c.Subcommands) == 0 {
		manFlags(&s, flags)
	}
	s.WriteString(".SH ENVIRONMENT\n" + line(variables) + "\n")
	if c == nil {
		for _, v := range environment {
			fmt.Fprintf(&s, ".TP\n.B %s\n%s\n", escaped(v[0]), line(v[1]))
		}
	}
	t.seeAlso(&s)
	_, err := io.WriteString(w, s.String())
	return err
}

// environment are the variables that belong to no flag.
var environment = [][2]string{
	{"CAPTIONER_CONFIG", "the file of settings, in the place of captioner.toml; none reads no file"},
	{"CAPTIONER_CACHE", "the folder of fetched weights and of cached features"},
	{"CAPTIONER_ISA", "limits captioner's own kernels to what a narrower processor has: plain, avx2, avx512, …"},
	{"HF_HOME, HF_HUB_CACHE, HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE", "of the Hugging Face hub, as its Python package " +
		"reads them"},
	{"OMP_NUM_THREADS", "threads of one computation, where --threads is not given"},
	{"TMPDIR", "the folder of temporary files"},
	{"NO_COLOR", "no colors on a terminal"},
}

func (t Topic) manExamples(s *strings.Builder) {
	about := shorts[strings.Join(t.Path, " ")]
	if len(about.examples) == 0 {
		return
	}
	s.WriteString(".SH EXAMPLES\n")
	for _, x := range about.examples {
		fmt.Fprintf(s, ".TP\n.B %s\n%s\n", escaped(x.line), line(x.what))
	}
}

// manFlags writes flags by their groups.
func manFlags(s *strings.Builder, flags []cli.Flag) {
	s.WriteString(".SH OPTIONS\n")
	for _, g := range grouped(flags) {
		fmt.Fprintf(s, ".SS %s\n", escaped(g.name))
		for _, d := range g.flags {
			usage, _ := placeholder(d)
			if value := defaultOf(d); value != "" {
				usage += " (default: " + value + ")"
			}
			fmt.Fprintf(s, ".TP\n.B %s\n%s\n", escaped(spelling(d)), line(usage))
			if env := d.GetEnvVars(); len(env) > 0 {
				fmt.Fprintf(s, ".br\nVariable: %s\n", escaped(strings.Join(env, ", ")))
			}
		}
	}
}

// seeAlso names the pages above, below and beside.
func (t Topic) seeAlso(s *strings.Builder) {
	var names []string
	for _, p := range Pages(t.App) {
		below := len(p) == len(t.Path)+1 && slices.Equal(p[:len(t.Path)], t.Path)
		above := len(p) < len(t.Path) && slices.Equal(p, t.Path[:len(p)])
		if below || above {
			names = append(names, PageName(t.App, p))
		}
	}
	if len(names) == 0 {
		return
	}
	s.WriteString(".SH SEE ALSO\n")
	for i, n := range names {
		comma := ","
		if i == len(names)-1 {
			comma = ""
		}
		fmt.Fprintf(s, ".BR %s (1)%s\n", escaped(n), comma)
	}
}

// manParagraphs writes a description: running text, and tables as they are.
func manParagraphs(s *strings.Builder, text string) {
	table := false
	begin := func(is bool) {
		if is != table {
			s.WriteString(map[bool]string{true: ".RS 2\n.nf\n", false: ".fi\n.RE\n"}[is])
			table = is
		}
	}
	for _, p := range paragraphs(text) {
		switch {
		case p == "":
			begin(false)
			s.WriteString(".PP\n")
		case isTable(p):
			begin(true)
			s.WriteString(protected(escaped(p)) + "\n")
		default:
			begin(false)
			s.WriteString(line(p) + "\n")
		}
	}
	begin(false)
}

// line is a line of text, which troff fills.
func line(text string) string { return protected(escaped(strings.Join(strings.Fields(text), " "))) }

// escaped spells what troff would take for its own, and dashes as they are typed.
func escaped(text string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", "\\`", "^", `\(ha`, "~", `\(ti`).Replace(text)
}

// protected keeps a line from being taken for a request.
func protected(text string) string {
	if strings.HasPrefix(text, ".") {
		return `\&` + text
	}
	return text
}

// quoted is an argument of a request.
func quoted(text string) string { return `"` + strings.ReplaceAll(escaped(text), `"`, `\(dq`) + `"` }

// ManualCommand is the hidden command that packages are made with. Without arguments it lists the manual pages, a line
// each: its name, and the command as it is typed. With a command it prints that page.
func ManualCommand(w io.Writer, of Edition) *cli.Command {
	return &cli.Command{
		Name:   "__man",
		Hidden: true,
		Action: func(c *cli.Context) error {
			if words := c.Args().Slice(); len(words) > 0 {
				return Topic{App: c.App, Path: words[1:]}.Manual(w, of)
			}
			for _, path := range Pages(c.App) {
				t := Topic{App: c.App, Path: path}
				if _, err := fmt.Fprintf(w, "%s\t%s\n", PageName(c.App, path), t.name()); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
