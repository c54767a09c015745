// Package completion completes command lines in bash, zsh and fish. The scripts ask the program itself what may stand
// next, so they never grow stale.
package completion

import (
	"embed"

	"github.com/urfave/cli/v2"

	"captioner/cli/console"
	"captioner/cli/flags"
)

//go:embed captioner.bash captioner.zsh captioner.fish
var scripts embed.FS

var shells = []string{"bash", "zsh", "fish"}

// Command is the command completion, which prints the script of a shell.
func Command(con *console.Console) *cli.Command {
	c := &cli.Command{
		Name:  "completion",
		Usage: "print a script for completion in bash, zsh or fish",
		Description: `bash:  source <(captioner completion bash)
zsh:   source <(captioner completion zsh)
fish:  captioner completion fish | source
Put the line into the shell's start-up file.`,
	}
	for _, shell := range shells {
		c.Subcommands = append(c.Subcommands, &cli.Command{
			Name:  shell,
			Usage: "the script for " + shell,
			Action: func(c *cli.Context) error {
				if err := flags.NoArguments(c); err != nil {
					return err
				}
				b, err := scripts.ReadFile("captioner." + shell)
				if err != nil {
					return err
				}
				_, err = con.Stdout.Write(b)
				return err
			},
		})
	}
	return c
}

// files is the line that tells a script to offer files too.
const files = ":files"

// Candidates is the hidden command behind the scripts: its arguments are the words typed so far, the last one
// unfinished. It prints what that one can become, a line each, with --describe behind a tab what it is. The line
// ":files" stands for files beside them; no line at all means files alone.
func Candidates(con *console.Console) *cli.Command {
	var describe bool
	return &cli.Command{
		Name:   "__complete",
		Hidden: true,
		Flags:  []cli.Flag{&cli.BoolFlag{Name: "describe", Destination: &describe}},
		Action: func(c *cli.Context) error {
			for _, x := range complete(con, c.App, c.Args().Slice()) {
				line := x.word
				if describe && x.about != "" {
					line += "\t" + x.about
				}
				if err := con.Printf("%s\n", line); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
