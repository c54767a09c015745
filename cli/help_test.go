package cli

import (
	"os"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"captioner/cli/flags"
	"captioner/cli/help"
)

// Every command has a screen: its examples are command lines that the program takes, its flags are its own.
func TestScreens(t *testing.T) {
	app := newProgram(os.Stdin, os.Stdout, os.Stderr).newApp()
	var check func(path []string, c *cli.Command)
	check = func(path []string, c *cli.Command) {
		name := strings.Join(path, " ")
		if c != nil && (c.Hidden || path[0] == "version" || len(path) == 2 && path[0] == "completion") {
			return
		}
		if c != nil && len(c.Subcommands) == 0 || c == nil {
			if len(help.Examples(name)) == 0 {
				t.Errorf("%q has no examples", name)
			}
			for _, example := range help.Examples(name) {
				words := strings.Fields(strings.ReplaceAll(example[0], "'", ""))
				if words[0] != "captioner" {
					continue
				}
				if _, err := flags.Arrange(app, words); err != nil {
					t.Errorf("%q: %v", example[0], err)
				}
			}
		}
		if c == nil {
			return
		}
		for _, flag := range help.Flags(name) {
			if flags.Named(c.Flags, flag) == nil {
				t.Errorf("%q has no flag --%s", name, flag)
			}
		}
		for _, s := range c.Subcommands {
			check(append(path[:len(path):len(path)], s.Name), s)
		}
	}
	check(nil, nil)
	for _, c := range app.Commands {
		check([]string{c.Name}, c)
	}
}
