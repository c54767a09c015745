package flags

import (
	"strings"

	"github.com/urfave/cli/v2"

	"captioner/cli/console"
)

// SetEnv names the variable of a flag: CAPTIONER_BEAM_SIZE for --beam-size.
func SetEnv(f cli.Flag) {
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

// OnUsageError rewords what the flag package says: which flag, what was given, what is wanted.
func OnUsageError(c *cli.Context, err error, _ bool) error {
	msg := err.Error()
	hint := "run \"" + strings.TrimSpace(c.App.Name+" "+c.Command.Name) + " --help\" for the flags"
	if rest, ok := strings.CutPrefix(msg, "invalid value "); ok {
		value, rest, _ := strings.Cut(rest, " for flag -")
		name, _, _ := strings.Cut(rest, ": ")
		name = strings.TrimLeft(name, "-")
		return console.Usagef(hint, "--%s: %s is not %s", name, value, wantedBy(c.Command, name))
	}
	if rest, ok := strings.CutPrefix(msg, "could not parse "); ok {
		value, rest, _ := strings.Cut(rest, " as ")
		_, rest, _ = strings.Cut(rest, "environment variable ")
		env, rest, _ := strings.Cut(rest, " for flag ")
		name, _, _ := strings.Cut(rest, ": ")
		return console.Usagef(hint, "variable %s: %s is not %s", strings.Trim(env, `"`), value, wantedBy(c.Command, name))
	}
	return console.Usagef(hint, "%s", msg)
}

func wantedBy(c *cli.Command, name string) string {
	switch Named(c.Flags, name).(type) {
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

// NoArguments refuses arguments that a command would ignore.
func NoArguments(c *cli.Context) error {
	if c.Args().Present() {
		return console.Usagef("", "%s takes no arguments, found %q", c.Command.FullName(), c.Args().First())
	}
	return nil
}
