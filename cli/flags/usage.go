package flags

import (
	"os"
	"strconv"
	"strings"
	"time"

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

// OnUsageError takes the place of the help that the flag package would print. What is wrong with a flag or its value,
// Arrange has found before.
func OnUsageError(c *cli.Context, err error, _ bool) error {
	return console.Usagef("run \""+strings.TrimSpace(c.App.Name+" "+c.Command.Name)+" --help\" for the flags", "%s", err)
}

// CheckValue refuses a value that a flag does not take; what stands before it in the message is label.
func CheckValue(f cli.Flag, label, value, hint string) error {
	var err error
	switch f.(type) {
	case *cli.BoolFlag:
		_, err = strconv.ParseBool(value)
	case *cli.IntFlag, *cli.Int64Flag:
		_, err = strconv.ParseInt(value, 0, 64)
	case *cli.Uint64Flag:
		_, err = strconv.ParseUint(value, 0, 64)
	case *cli.Float64Flag:
		_, err = strconv.ParseFloat(value, 64)
	case *cli.DurationFlag:
		_, err = time.ParseDuration(value)
	}
	if err != nil {
		return console.Usagef(hint, "%s: %q is not %s", label, value, wantedBy(f))
	}
	return nil
}

// checkVariables refuses variables of the environment that the flags of a command do not take.
func checkVariables(all []cli.Flag, hint string) error {
	for _, f := range all {
		d, ok := f.(cli.DocGenerationFlag)
		if !ok {
			continue
		}
		for _, name := range d.GetEnvVars() {
			if value := os.Getenv(name); value != "" {
				if err := CheckValue(f, "variable "+name, value, hint); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// wantedBy says what a flag takes.
func wantedBy(f cli.Flag) string {
	switch f.(type) {
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
