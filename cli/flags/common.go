package flags

import (
	"github.com/urfave/cli/v2"

	"captioner/cli/console"
)

// Common are the flags that every command has, which set o.
func Common(o *console.Options) []cli.Flag {
	const category = "OUTPUT"
	return []cli.Flag{
		&cli.BoolFlag{Name: "json", Usage: "one JSON object a line on standard output, results and errors alike",
			Category: category, Destination: &o.JSON},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "say nothing but warnings and errors",
			Category: category, Destination: &o.Quiet},
		&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "say more", Category: category,
			Destination: &o.Verbose},
		&cli.StringFlag{Name: "log-format", Value: "text", Usage: "how messages on standard error look: text or json",
			Category: category, Destination: &o.LogFormat},
	}
}
