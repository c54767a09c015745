package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"
)

// commonOptions are the flags that every command has.
type commonOptions struct {
	Quiet, Verbose, JSON bool
	LogFormat            string // "text" or "json"
}

func (p *program) newApp() *cli.App {
	app := &cli.App{
		Name:            "captioner",
		Usage:           "train image captioners and caption images",
		UsageText:       "captioner COMMAND [flags] [arguments]",
		Description:     exitCodeHelp,
		HideHelpCommand: true,
		HideVersion:     true, // the built-in one would own -v
		Writer:          p.stdout,
		ErrWriter:       p.term,
		ExitErrHandler:  func(*cli.Context, error) {}, // the default one ends the process
		OnUsageError:    onUsageError,
		Flags:           []cli.Flag{&cli.BoolFlag{Name: "version", Aliases: []string{"V"}, Usage: "print the version", DisableDefaultText: true}},
		// Paths and words may hold commas: one flag is one value.
		DisableSliceFlagSeparator: true,
		Action: func(c *cli.Context) error {
			if c.Bool("version") {
				return runVersion(p)
			}
			return cli.ShowAppHelp(c)
		},
	}
	for _, c := range []*cli.Command{newPredict(p), newTrain(p), newEncode(p), newEval(p), newServe(p), newMerge(p), newDoctor(p), newWeights(p), newCompletion(p), newVersion(p), newCandidates(p)} {
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
	for _, f := range p.common.flags() {
		setEnv(f)
		c.Flags = append(c.Flags, f)
	}
	c.Before = func(*cli.Context) error {
		if err := oneOf("--log-format", p.common.LogFormat, "text", "json"); err != nil {
			return err
		}
		if p.common.Quiet && p.common.Verbose {
			return usagef("", "--quiet and --verbose contradict each other")
		}
		p.term.setLog(p.common)
		return nil
	}
}

func (o *commonOptions) flags() []cli.Flag {
	const category = "OUTPUT"
	return []cli.Flag{
		&cli.BoolFlag{Name: "json", Usage: "one JSON object a line on standard output, results and errors alike", Category: category, Destination: &o.JSON},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "say nothing but warnings and errors", Category: category, Destination: &o.Quiet},
		&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "say more", Category: category, Destination: &o.Verbose},
		&cli.StringFlag{Name: "log-format", Value: "text", Usage: "how messages on standard error look: text or json", Category: category, Destination: &o.LogFormat},
	}
}

// setEnv names the variable of a flag: CAPTIONER_BEAM_SIZE for --beam-size.
func setEnv(f cli.Flag) {
	env := []string{"CAPTIONER_" + strings.ToUpper(strings.ReplaceAll(f.Names()[0], "-", "_"))}
	switch f := f.(type) {
	case *cli.BoolFlag:
		f.EnvVars, f.DisableDefaultText = env, true
	case *cli.StringFlag:
		f.EnvVars = env
	case *cli.StringSliceFlag:
		f.EnvVars = env
	case *cli.IntFlag:
		f.EnvVars = env
	case *cli.Int64Flag:
		f.EnvVars = env
	case *cli.Uint64Flag:
		f.EnvVars = env
	case *cli.Float64Flag:
		f.EnvVars = env
	case *cli.DurationFlag:
		f.EnvVars = env
	}
}

// onUsageError rewords what the flag package says: which flag, what was given, what is wanted.
func onUsageError(c *cli.Context, err error, _ bool) error {
	msg := err.Error()
	hint := "run \"" + strings.TrimSpace(c.App.Name+" "+c.Command.Name) + " --help\" for the flags"
	if rest, ok := strings.CutPrefix(msg, "invalid value "); ok {
		value, rest, _ := strings.Cut(rest, " for flag -")
		name, _, _ := strings.Cut(rest, ": ")
		name = strings.TrimLeft(name, "-")
		return usagef(hint, "--%s: %s is not %s", name, value, wantedBy(c.Command, name))
	}
	if rest, ok := strings.CutPrefix(msg, "could not parse "); ok {
		value, rest, _ := strings.Cut(rest, " as ")
		_, rest, _ = strings.Cut(rest, "environment variable ")
		env, rest, _ := strings.Cut(rest, " for flag ")
		name, _, _ := strings.Cut(rest, ": ")
		return usagef(hint, "variable %s: %s is not %s", strings.Trim(env, `"`), value, wantedBy(c.Command, name))
	}
	return usagef(hint, "%s", msg)
}

func wantedBy(c *cli.Command, name string) string {
	switch flagNamed(c.Flags, name).(type) {
	case *cli.BoolFlag:
		return "true or false"
	case *cli.IntFlag, *cli.Int64Flag:
		return "a whole number"
	case *cli.Uint64Flag:
		return "a whole number, 0 or more"
	case *cli.Float64Flag:
		return "a number"
	case *cli.DurationFlag:
		return "a time such as 90s or 5m"
	}
	return "a value of this flag"
}

// oneOf checks a flag that takes one of a few words.
func oneOf(flag, value string, words ...string) error {
	for _, w := range words {
		if value == w {
			return nil
		}
	}
	return usagef("", "%s %q: want %s", flag, value, strings.Join(words, ", "))
}

// printf writes to standard output.
func (p *program) printf(format string, args ...any) error {
	_, err := fmt.Fprintf(p.stdout, format, args...)
	return err
}

// noArguments refuses arguments that a command would ignore.
func noArguments(c *cli.Context) error {
	if c.Args().Present() {
		return usagef("", "%s takes no arguments, found %q", c.Command.FullName(), c.Args().First())
	}
	return nil
}

// configure sets what urfave/cli keeps in package variables.
func configure() {
	cli.OsExiter = func(int) {}
	cli.ErrWriter = io.Discard
}
