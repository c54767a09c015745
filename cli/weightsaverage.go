package cli

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"captioner/models/captioner"
)

func newAverage(p *program) *cli.Command {
	var out string
	return &cli.Command{
		Name:      "average",
		Usage:     "write the mean of the weights of several captioners as one",
		ArgsUsage: "FILE FILE...",
		Description: `For checkpoints of one run (train --keep N), or runs that began with the same weights. They have one shape and
one vocabulary. The mean has no scores: captioner eval gives them.`,
		Flags: []cli.Flag{&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Usage: "model `FILE` to write", Destination: &out}},
		Action: func(c *cli.Context) error {
			switch {
			case out == "":
				return usagef("", "weights average wants --out FILE")
			case c.NArg() < 2:
				return usagef("", "weights average takes two or more files, found %d", c.NArg())
			}
			files := c.Args().Slice()
			if err := captioner.Average(files, out, fmt.Sprintf("captioner weights average %s", strings.Join(files, " "))); err != nil {
				return err
			}
			return p.printf("%s\n", out)
		},
	}
}
