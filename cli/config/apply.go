package config

import (
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"captioner/cli/flags"
	"captioner/cli/paths"
)

func mapKeys(m map[string]any) iter.Seq[string] { return maps.Keys(m) }

// find is the command of a path such as "weights fetch"; nil for none.
func find(app *cli.App, path string) (c *cli.Command) {
	commands := app.Commands
	for name := range strings.FieldsSeq(path) {
		if c = flags.FindCommand(commands, name); c == nil {
			return nil
		}
		commands = c.Subcommands
	}
	return c
}

// rivals are flags that contradict each other: one on the command line drops what a file says of the others.
var rivals = map[string][]string{
	"serve host": {"listen"}, "serve port": {"listen"}, "serve listen": {"host", "port"},
	"quiet": {"verbose"}, "verbose": {"quiet"},
	"recursive": {"no-recursive"}, "no-recursive": {"recursive"},
	"predict resume": {"overwrite"}, "predict overwrite": {"resume"}, "train resume": {"out"}, "train out": {"resume"},
	"train init": {"encoder", "language-model"}, "train encoder": {"init"}, "train language-model": {"init"},
	"predictions": {"model"}, "model": {"predictions"}, "data": {"references"}, "references": {"data"},
}

// Of is what the files say of a flag of a command: the strongest setting.
func (s *Settings) Of(command, flag string) (Setting, bool) {
	for _, x := range s.list {
		if x.Flag == flag && (x.Command == command || x.Command == "") {
			return x, true
		}
	}
	return Setting{}, false
}

// Apply puts what the files say into arranged arguments, before the flags that stand there. A flag that is given, or
// that a variable sets, stays as it is.
func (s *Settings) Apply(app *cli.App, arranged []string, getenv func(string) string) []string {
	n := 1
	for n < len(arranged) && !strings.HasPrefix(arranged[n], "-") {
		n++
	}
	command := strings.Join(arranged[1:n], " ")
	c := find(app, command)
	if c == nil || len(s.list) == 0 {
		return arranged
	}
	given := givenFlags(c, arranged[n:])
	dropped := map[string]bool{}
	for name := range given {
		for _, rival := range slices.Concat(rivals[name], rivals[command+" "+name]) {
			dropped[rival] = true
		}
	}
	out := slices.Clone(arranged[:n])
	for _, f := range c.Flags {
		name := f.Names()[0]
		x, ok := s.Of(command, name)
		if !ok || given[name] || dropped[name] || variableOf(f, getenv) != "" {
			continue
		}
		for _, v := range x.Values {
			out = append(out, "--"+name+"="+x.resolve(command, v))
		}
	}
	return append(out, arranged[n:]...)
}

// givenFlags are the flags of a command line, by their first names.
func givenFlags(c *cli.Command, words []string) map[string]bool {
	given := map[string]bool{}
	for i := 0; i < len(words) && words[i] != "--"; i++ {
		name, _, inline := strings.Cut(strings.TrimLeft(words[i], "-"), "=")
		f := flags.Named(c.Flags, name)
		if f == nil {
			continue
		}
		given[f.Names()[0]] = true
		if flags.TakesValue(f) && !inline {
			i++
		}
	}
	return given
}

// variableOf is the variable that sets a flag now; "" for none.
func variableOf(f cli.Flag, getenv func(string) string) string {
	if d, ok := f.(cli.DocGenerationFlag); ok {
		for _, name := range d.GetEnvVars() {
			if getenv(name) != "" {
				return name
			}
		}
	}
	return ""
}

// resolve is a value as the command takes it: a path begins where the file lies, "~/" is the user's folder. A name of
// published weights is no path.
func (x Setting) resolve(command, value string) string {
	use, ok := paths.UseOf(command, x.Flag)
	if !ok || use == paths.Word || use == paths.Socket || value == "" || value == "-" || filepath.IsAbs(value) ||
		strings.Contains(value, "://") {
		return value
	}
	if rest, ok := strings.CutPrefix(value, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	path := value
	if x.folder != "." {
		path = filepath.Join(x.folder, value)
	}
	if (use == paths.Read || use == paths.DataSet) && !exists(path) && !exists(value) {
		return value // a name, unless it is a mistake, which is told by the words of the file
	}
	return path
}

// exists says whether there is a file; "captions.json#test" is a part of one.
func exists(path string) bool {
	if _, err := os.Stat(path); err == nil {
		return true
	}
	file, _, part := strings.Cut(path, "#")
	if !part {
		return false
	}
	_, err := os.Stat(file)
	return err == nil
}
