package cli

import (
	"io"

	"github.com/urfave/cli/v2"
)

func (p *program) newApp() *cli.App {
	app := &cli.App{
		Name:            "captioner",
		Usage:           "train image captioners and caption images",
		UsageText:       "captioner COMMAND [flags] [arguments]",
		Description:     exitCodeHelp,
		HideHelpCommand: true,
		HideVersion:     true, // the built-in one would own -v
		Writer:          p.con.stdout,
		ErrWriter:       p.con.term,
		ExitErrHandler:  func(*cli.Context, error) {}, // the default one ends the process
		OnUsageError:    onUsageError,
		Flags:           []cli.Flag{&cli.BoolFlag{Name: "version", Aliases: []string{"V"}, Usage: "print the version", DisableDefaultText: true}},
		// Paths and words may hold commas: one flag is one value.
		DisableSliceFlagSeparator: true,
		Action: func(c *cli.Context) error {
			if c.Bool("version") {
				return runVersion(p.con)
			}
			return cli.ShowAppHelp(c)
		},
	}
	for _, c := range []*cli.Command{newPredict(p.con, p.load), newTrain(p.con), newEncode(p.con), newEval(p.con, p.load), newServe(p.con), newMerge(p.con), newDoctor(p.con, p.load),
		newWeights(p.con), newCompletion(p.con), newVersion(p.con), newCandidates(p.con)} {
		p.finish(c)
		app.Commands = append(app.Commands, c)
	}
	return app
}

// finish gives a command and its subcommands what all of them have.
func (p *program) finish(c *cli.Command) {
	c.HideHelpCommand = true
	c.OnUsageError = onUsageError
	for _, s := range c.Subcommands {
		p.finish(s)
	}
	if len(c.Subcommands) > 0 {
		return
	}
	for _, f := range c.Flags {
		setEnv(f)
	}
	for _, f := range commonFlags(&p.con.common) {
		setEnv(f)
		c.Flags = append(c.Flags, f)
	}
	c.Before = func(*cli.Context) error {
		if err := oneOf("--log-format", p.con.common.LogFormat, "text", "json"); err != nil {
			return err
		}
		if p.con.common.Quiet && p.con.common.Verbose {
			return usagef("", "--quiet and --verbose contradict each other")
		}
		p.con.term.setLog(p.con.common)
		return nil
	}
}

// configure sets what urfave/cli keeps in package variables.
func configure() {
	cli.OsExiter = func(int) {}
	cli.ErrWriter = io.Discard
}
