package config

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"captioner/cli/console"
	"captioner/cli/flags"
)

// value is what a flag of a command is, and where that comes from.
type value struct {
	Command string `json:"command"`
	Flag    string `json:"flag"`
	Value   string `json:"value"`
	From    string `json:"from"` // a file, "variable NAME", or "default"
}

// Show prints what is set and where that comes from; of one command, all its flags.
func (s *Settings) Show(con *console.Console, app *cli.App, command string, getenv func(string) string) error {
	var list []value
	for _, path := range leaves(app.Commands, "") {
		if command == "" || path == command {
			list = append(list, s.values(app, path, command != "", getenv)...)
		}
	}
	if con.Options.JSON {
		for _, v := range list {
			if err := console.WriteJSON(con.Stdout, v); err != nil {
				return err
			}
		}
		return nil
	}
	tab := tabwriter.NewWriter(con.Stdout, 0, 0, 2, ' ', 0)
	for _, f := range s.Files {
		state := "not there"
		switch {
		case f.Read:
			state = "read"
		case f.Err != nil:
			state = "not read: " + f.Err.Error()
		}
		fmt.Fprintf(tab, "%s\t%s\n", console.Visible(f.Path), state)
	}
	fmt.Fprintln(tab)
	switch {
	case len(list) == 0:
		fmt.Fprintln(tab, "nothing is set: every flag has its default")
	case command != "":
		fmt.Fprintln(tab, "FLAG\tVALUE\tFROM")
		for _, v := range list {
			fmt.Fprintf(tab, "%s\t%s\t%s\n", v.Flag, v.Value, v.From)
		}
	default:
		fmt.Fprintln(tab, "FLAG\tVALUE\tFROM\tOF")
		for _, g := range grouped(list) {
			fmt.Fprintf(tab, "%s\t%s\t%s\t%s\n", g.Flag, g.Value, g.From, g.Command)
		}
	}
	return tab.Flush()
}

// values are the flags of a command that are set, or all of them.
func (s *Settings) values(app *cli.App, path string, all bool, getenv func(string) string) (list []value) {
	for _, f := range find(app, path).Flags {
		d, ok := f.(cli.DocGenerationFlag)
		if !ok || f.Names()[0] == "help" {
			continue
		}
		v := value{Command: path, Flag: f.Names()[0]}
		x, set := s.Of(path, v.Flag)
		switch name := variableOf(f, getenv); {
		case name != "":
			v.Value, v.From = console.Visible(getenv(name)), "variable "+name
		case set:
			var values []string
			for _, text := range x.Values {
				values = append(values, console.Visible(x.resolve(path, text)))
			}
			v.Value, v.From = strings.Join(values, ", "), console.Visible(x.File)
		case all:
			v.Value, v.From = defaultOf(d), "default"
		default:
			continue
		}
		list = append(list, v)
	}
	return list
}

func defaultOf(d cli.DocGenerationFlag) string {
	if b, ok := d.(*cli.BoolFlag); ok {
		return fmt.Sprint(b.Value)
	}
	if text := strings.Trim(d.GetDefaultText(), `"`); text != "" {
		return text
	}
	return d.GetValue()
}

// grouped joins the values that several commands share.
func grouped(list []value) (out []value) {
	for _, v := range list {
		i := slices.IndexFunc(out, func(o value) bool { return o.Flag == v.Flag && o.Value == v.Value && o.From == v.From })
		if i < 0 {
			out = append(out, v)
			continue
		}
		out[i].Command += ", " + v.Command
	}
	return out
}

// leaves are the paths of all commands that do something.
func leaves(commands []*cli.Command, above string) (paths []string) {
	for _, c := range commands {
		path := strings.TrimPrefix(above+" "+c.Name, " ")
		switch {
		case c.Hidden:
		case len(c.Subcommands) > 0:
			paths = append(paths, leaves(c.Subcommands, path)...)
		default:
			paths = append(paths, path)
		}
	}
	return paths
}

// Command is the command config.
func Command(con *console.Console, getenv func(string) string) *cli.Command {
	return &cli.Command{
		Name:      "config",
		Usage:     "show what captioner.toml and variables set",
		ArgsUsage: "[COMMAND]",
		Description: `Flags that you do not want to give each time stand in captioner.toml, in the working folder or in
~/.config/captioner. Keys are flags without their dashes. What stands above all tables is of every command
that has the flag; a table is of one command. Paths begin where the file lies.

  device = "cuda"
  [predict]
  beam-size = 5
  ban = ["photo", "picture"]
  [weights.fetch]
  mirror = "mirror"

A flag wins over a variable, a variable over a file, the working folder's file over the user's, and a
table over what stands above. The variable CAPTIONER_CONFIG names one file in the place of both; none
reads none. With COMMAND, all its flags are listed.`,
		Action: func(c *cli.Context) error {
			s, err := Load(c.App, getenv)
			if err != nil {
				return err
			}
			command := strings.Join(c.Args().Slice(), " ")
			if command != "" && !slices.Contains(leaves(c.App.Commands, ""), command) {
				hint := "the commands are " + strings.Join(leaves(c.App.Commands, ""), ", ")
				if near := flags.Nearest(command, leaves(c.App.Commands, "")); near != "" {
					hint = "did you mean " + near + "?"
				}
				return console.Usagef(hint, "config: unknown command %q", command)
			}
			return s.Show(con, c.App, command, getenv)
		},
	}
}
