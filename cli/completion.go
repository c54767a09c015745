package cli

import (
	"embed"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"captioner/cli/console"
	"captioner/cli/flags"
	"captioner/cli/output"
	"captioner/cli/published"
	"captioner/weights/store"
)

// The scripts ask the program itself what may stand next (newCandidates), so they never grow stale.
//
//go:embed completion
var scripts embed.FS

var shells = []string{"bash", "zsh", "fish"}

func newCompletion(con *console.Console) *cli.Command {
	c := &cli.Command{
		Name:  "completion",
		Usage: "print a script that makes a shell complete captioner's commands and flags",
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
				b, err := scripts.ReadFile("completion/captioner." + shell)
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

// newCandidates is the hidden command behind the scripts: its arguments are the words typed so far, the last one
// unfinished. It prints what that one can become; nothing means: a file.
func newCandidates(con *console.Console) *cli.Command {
	return &cli.Command{
		Name:   "__complete",
		Hidden: true,
		Action: func(c *cli.Context) error {
			for _, s := range candidates(con, c.App, c.Args().Slice()) {
				if err := con.Printf("%s\n", s); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// values are the words that a flag takes, where they are few.
var values = map[string][]string{
	"device": {"auto", "cpu", "cuda"}, "precision": {"auto", "fp32", "bf16",
		"fp16", "int8"}, "format": output.Formats, "existing": output.Policies, "shard": {"auto"},
	"log-format": {"text", "json"},
}

// kinds are what the flags that take names of weights want.
var kinds = map[string][]store.Kind{
	"model": {store.Captioner}, "init": {store.Captioner}, "encoder": {store.Encoder}, "clip": {store.Encoder},
	"language-model": {store.LanguageModel},
}

// names are the names of weights that a flag or a command takes: none where there is nothing to go by yet, or where the
// word is the beginning of a path.
func names(con *console.Console, command, flag, word string) []string {
	wanted, ok := kinds[flag]
	if flag == "" && command == "fetch" {
		return published.Names(con, store.Captioner, store.Encoder, store.LanguageModel, store.Data)
	}
	if found, err := filepath.Glob(word + "*"); !ok || word == "" || err != nil || len(found) > 0 {
		return nil
	}
	return published.Names(con, wanted...)
}

func candidates(con *console.Console, app *cli.App, words []string) []string {
	if len(words) == 0 {
		words = []string{""}
	}
	commands, own, leaf := app.Commands, app.Flags, false
	last := words[len(words)-1]
	pending := "" // the flag that the last word is the value of
	command := "" // the last one named
	for _, w := range words[:len(words)-1] {
		name := strings.TrimLeft(w, "-")
		switch {
		case pending != "":
			pending = ""
		case w == "--":
			return nil
		case strings.HasPrefix(w, "-") && len(w) > 1:
			if f := flags.Named(flags.KnownFlags(commands, own, leaf), name); f != nil && flags.TakesValue(f) {
				pending = f.Names()[0]
			}
		case !leaf:
			c := flags.FindCommand(commands, w)
			if c == nil {
				return nil
			}
			commands, own, leaf = c.Subcommands, c.Flags, len(c.Subcommands) == 0
			command = c.Name
		}
	}
	var all []string
	switch {
	case pending != "":
		all = append(names(con, command, pending, last), values[pending]...)
	case strings.HasPrefix(last, "-"):
		for _, f := range flags.KnownFlags(commands, own, leaf) {
			all = append(all, "--"+f.Names()[0])
		}
	case !leaf:
		all = flags.CommandNames(commands)
	default:
		all = names(con, command, "", last)
	}
	var out []string
	for _, s := range all {
		if strings.HasPrefix(s, last) {
			out = append(out, s)
		}
	}
	return out
}
