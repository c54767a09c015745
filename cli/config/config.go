// Package config reads captioner.toml, which holds flags that a person does not want to give each time: in the working
// folder, and in the user's own folder of settings. What it holds are flags like those of the command line: they are
// checked in the same way, and paths in it begin where the file lies.
//
//	device = "cuda"     # of every command that has --device
//
//	[predict]
//	beam-size = 5
//	ban = ["photo", "picture"]
//
//	[weights.fetch]
//	mirror = "mirror"   # beside this file
//
// A flag wins over a variable of the environment, a variable over a file, the working folder's file over the user's,
// and the table of a command over what stands above all tables. A key that is no flag is refused.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/pelletier/go-toml/v2"
	"github.com/urfave/cli/v2"

	"captioner/cli/console"
	"captioner/cli/flags"
)

// Name is how a file of settings is called.
const Name = "captioner.toml"

// Variable names a file that is read in the place of both others; "none" reads none.
const Variable = "CAPTIONER_CONFIG"

// File is a place where settings are looked for.
type File struct {
	Path string
	Read bool  // it is there
	Err  error // it is there, and cannot be read
}

// Setting is what a file says of a flag.
type Setting struct {
	Command string   // "weights fetch"; "" for every command that has the flag
	Flag    string   // its first name
	Values  []string // as on the command line; several of a flag that may be repeated
	File    string
	folder  string // where its paths begin
}

// Settings are what all files say, the strongest first.
type Settings struct {
	Files []File
	list  []Setting
}

// Unread are the errors of files that are there and cannot be read, where no variable names them.
func (s *Settings) Unread() (errs []error) {
	for _, f := range s.Files {
		if f.Err != nil {
			errs = append(errs, unread(f.Path, f.Err))
		}
	}
	return errs
}

// Load reads the files. app has the flags that they may hold.
func Load(app *cli.App, getenv func(string) string) (*Settings, error) {
	s := &Settings{}
	named := getenv(Variable) != ""
	for _, path := range places(getenv) {
		b, err := os.ReadFile(path)
		switch {
		case err == nil:
		case named:
			return nil, console.WithHint(fmt.Errorf("read settings: %w", err),
				"%s names this file; \"none\" reads no settings", Variable)
		default:
			f := File{Path: path}
			if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
				f.Err = reason(err)
			}
			s.Files = append(s.Files, f)
			continue
		}
		s.Files = append(s.Files, File{Path: path, Read: true})
		list, err := parse(app, path, b)
		if err != nil {
			return nil, err
		}
		s.list = append(s.list, list...)
	}
	return s, nil
}

func unread(path string, err error) error {
	return fmt.Errorf("%s: the settings are not read: %w", console.Visible(path), err)
}

// reason is an error without the call and the path.
func reason(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// places are the files that are looked for, the strongest first.
func places(getenv func(string) string) []string {
	switch path := getenv(Variable); path {
	case "":
	case "none":
		return nil
	default:
		return []string{path}
	}
	all := []string{Name}
	if dir, err := os.UserConfigDir(); err == nil {
		all = append(all, filepath.Join(dir, "captioner", Name))
	}
	return all
}

// parse reads one file: what stands in the table of a command first.
func parse(app *cli.App, path string, b []byte) ([]Setting, error) {
	var top map[string]any
	if err := toml.Unmarshal(b, &top); err != nil {
		var at *toml.DecodeError
		if errors.As(err, &at) {
			row, column := at.Position()
			return nil, console.Usagef("", "%s: line %d, column %d: %s", console.Visible(path), row, column,
				strings.TrimPrefix(at.Error(), "toml: "))
		}
		return nil, console.Usagef("", "%s: %v", console.Visible(path), err)
	}
	r := &reader{app: app, path: path}
	r.table("", app.Commands, top)
	slices.SortStableFunc(r.list, func(a, b Setting) int { return sign(a.Command == "") - sign(b.Command == "") })
	return r.list, errors.Join(r.errs...)
}

func sign(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// reader goes through the tables of a file.
type reader struct {
	app  *cli.App
	path string
	list []Setting
	errs []error
}

func (r *reader) refuse(hint, format string, args ...any) {
	r.errs = append(r.errs, console.Usagef(hint, console.Visible(r.path)+": "+format, args...))
}

// table reads the table of a command that has these subcommands; "" is what stands above all tables.
func (r *reader) table(command string, commands []*cli.Command, values map[string]any) {
	known, names := r.known(command, commands)
	for _, key := range slices.Sorted(mapKeys(values)) {
		label := key
		if command != "" {
			label = command + "." + key
		}
		if below, ok := values[key].(map[string]any); ok {
			c := flags.FindCommand(commands, key)
			if c == nil || c.Hidden {
				r.unknown(label, "table", key, flags.CommandNames(commands))
				continue
			}
			path := key
			if command != "" {
				path = command + " " + key
			}
			r.table(path, c.Subcommands, below)
			continue
		}
		f := flags.Named(known, key)
		if f == nil || len(key) == 1 || key == "help" || key == "version" {
			r.unknown(label, "key", key, append(names, flags.CommandNames(commands)...))
			continue
		}
		r.setting(command, label, f, values[key])
	}
}

// known are the flags that may stand in a table.
func (r *reader) known(command string, commands []*cli.Command) (known []cli.Flag, names []string) {
	if command != "" && len(commands) == 0 {
		known = find(r.app, command).Flags
	} else if command == "" {
		known = flags.KnownFlags(commands, nil, false)
	}
	for _, f := range known {
		for _, name := range f.Names() {
			if len(name) > 1 {
				names = append(names, name)
			}
		}
	}
	return known, names
}

func (r *reader) unknown(label, kind, key string, names []string) {
	hint := "a key is a flag without its dashes, a table is a command"
	if near := flags.Nearest(key, names); near != "" {
		hint = "did you mean " + near + "?"
	}
	r.refuse(hint, "unknown %s %s", kind, strconv.Quote(label))
}

// setting takes one value, or a list of them for a flag that may be repeated.
func (r *reader) setting(command, label string, f cli.Flag, value any) {
	list := []any{value}
	if values, ok := value.([]any); ok {
		if _, repeated := f.(*cli.StringSliceFlag); !repeated {
			r.refuse("", "%s: want one value, found a list", label)
			return
		}
		list = values
	}
	s := Setting{Command: command, Flag: f.Names()[0], File: r.path, folder: filepath.Dir(r.path)}
	for _, v := range list {
		text, ok := textOf(v)
		if !ok {
			r.refuse("", "%s: want a text, a number, true or false", label)
			return
		}
		if err := flags.CheckValue(f, console.Visible(r.path)+": "+label, text, ""); err != nil {
			r.errs = append(r.errs, err)
			return
		}
		s.Values = append(s.Values, text)
	}
	r.list = append(r.list, s)
}

// textOf is a value as the command line has it.
func textOf(v any) (text string, ok bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), true
	}
	return "", false
}
