package cli

import (
	"io"
	"os"

	"github.com/urfave/cli/v2"

	"captioner/cli/completion"
	"captioner/cli/config"
	"captioner/cli/console"
	"captioner/cli/doctor"
	"captioner/cli/flags"
	"captioner/cli/help"
	"captioner/cli/paths"
	"captioner/cli/scoring"
	"captioner/cli/training"
	"captioner/cli/version"
	"captioner/torch/dist/launch"
)

func (p *program) newApp() *cli.App {
	app := &cli.App{
		Name:            "captioner",
		Usage:           "train image captioners and caption images",
		UsageText:       "captioner COMMAND [flags] [arguments]",
		Description:     exitCodeHelp,
		HideHelpCommand: true,
		HideVersion:     true, // the built-in one would own -v
		Writer:          &p.help,
		ErrWriter:       p.con.Term,
		ExitErrHandler:  func(*cli.Context, error) {}, // the default one ends the process
		OnUsageError:    flags.OnUsageError,
		Flags: []cli.Flag{&cli.BoolFlag{Name: "version", Aliases: []string{"V"}, Usage: "print the version",
			DisableDefaultText: true}},
		// Paths and words may hold commas: one flag is one value.
		DisableSliceFlagSeparator: true,
		Action: func(c *cli.Context) error {
			if c.Bool("version") {
				return version.Print(p.con)
			}
			return help.Topic{App: c.App, Columns: p.con.Columns()}.Print(p.con.Stdout, false)
		},
	}
	for _, c := range []*cli.Command{
		newPredict(p.con, p.load), training.Command(p.con), newEncode(p.con), scoring.Command(p.con, p.load),
		newServe(p.con), newMerge(p.con), doctor.Command(p.con, p.load),
		newWeights(p.con), config.Command(p.con, os.Getenv), completion.Command(p.con), version.Command(p.con),
		completion.Candidates(p.con),
		help.ManualCommand(p.con.Stdout, help.Edition{Version: console.Version, Date: console.Date()}),
		newWorker(p.con, p.load),
	} {
		p.finish(c.Name, c)
		app.Commands = append(app.Commands, c)
	}
	return app
}

// finish gives a command and its subcommands what all of them have.
func (p *program) finish(name string, c *cli.Command) {
	c.HideHelpCommand = true
	c.OnUsageError = flags.OnUsageError
	for _, s := range c.Subcommands {
		p.finish(name+" "+s.Name, s)
	}
	if len(c.Subcommands) > 0 {
		return
	}
	for _, f := range c.Flags {
		flags.SetEnv(f)
	}
	for _, f := range flags.Common(&p.con.Options) {
		flags.SetEnv(f)
		c.Flags = append(c.Flags, f)
	}
	action := c.Action
	c.Action = func(c *cli.Context) error {
		if err := checkPaths(name, c, p.con); err != nil {
			return err
		}
		return action(c)
	}
	c.Before = func(*cli.Context) error {
		if err := console.OneOf("--log-format", p.con.Options.LogFormat, "text", "json"); err != nil {
			return err
		}
		if p.con.Options.Quiet && p.con.Options.Verbose {
			return console.Usagef("", "--quiet and --verbose contradict each other")
		}
		p.con.Term.SetLog(p.con.Options)
		for _, err := range p.unread {
			p.con.Term.Log.Warn(err.Error())
		}
		return nil
	}
}

// configure sets what urfave/cli keeps in package variables.
func configure() {
	cli.OsExiter = func(int) {}
	cli.ErrWriter = io.Discard
}

// checkPaths refuses to write over what is read. Of several processes of one command, the first looks: others may find
// what it has begun to write.
func checkPaths(command string, c *cli.Context, con *console.Console) error {
	if place, err := launch.Find(os.Getenv); err == nil && place != nil && place.Rank != 0 {
		return nil
	}
	return paths.Check(command, c, con.Stdin, con.Stdout)
}

// helpWriter keeps the error of writing help, which urfave/cli throws away.
type helpWriter struct {
	w   io.Writer
	err error
}

func (h *helpWriter) Write(b []byte) (int, error) {
	n, err := h.w.Write(b)
	if h.err == nil {
		h.err = err
	}
	return n, err
}
