package cli

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

func newMerge(p *console) *cli.Command {
	var o mergeOptions
	return &cli.Command{
		Name:      "merge",
		Usage:     "join what the parts of predict --shard wrote",
		ArgsUsage: "PART ...",
		Description: `Writes one file of the files that the parts of a sharded run wrote, in the order in which one run over everything
would have written it. A picture that is in two parts is refused, and so is a part that is missing, as far as the names say
which there are: a-1-of-3.jsonl, a-2-of-3.jsonl, … as --out 'a-{part}-of-{parts}.jsonl' makes them.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Usage: "write to `FILE` instead of standard output: whole, or not at all", Category: "OUTPUT", Destination: &o.Out, TakesFile: true},
			&cli.StringFlag{Name: "format", Usage: "form of the parts and of the output: " + strings.Join(formats, ", ") + "; the parts' extension decides", Category: "OUTPUT", Destination: &o.Format},
			&cli.BoolFlag{Name: "allow-missing", Usage: "join what parts there are", Category: "INPUT", Destination: &o.AllowMissing},
		},
		Action: func(c *cli.Context) error {
			o.parts = c.Args().Slice()
			if err := o.validate(); err != nil {
				return err
			}
			return runMerge(p, o)
		},
	}
}

func (o *mergeOptions) validate() error {
	if len(o.parts) == 0 {
		return usagef("captioner merge --out all.jsonl part-*.jsonl", "nothing to merge: give the files that the parts wrote")
	}
	if o.Format != "" {
		return oneOf("--format", o.Format, formats...)
	}
	o.Format = formatOf(o.parts[0])
	for _, p := range append(slices.Clone(o.parts), o.Out) {
		if p != "" && formatOf(p) != o.Format {
			return usagef("--format says what all are", "%q is %s by its name, and %q is %s", o.parts[0], o.Format, p, formatOf(p))
		}
	}
	return nil
}
