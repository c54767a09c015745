package cli

import (
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"captioner/cli/cloud"
	"captioner/cli/console"
	"captioner/cli/output"
	"captioner/cli/output/remote"
)

func newMerge(con *console.Console) *cli.Command {
	var o output.MergeOptions
	return &cli.Command{
		Name:      "merge",
		Usage:     "join what the parts of predict --shard wrote",
		ArgsUsage: "PART ...",
		Description: `Writes one file of the files that the parts of a sharded run wrote, in the order in which one run over
everything would have written it. An image that is in two parts is refused, and so is a part that is
missing, as far as the names say which there are: a-1-of-3.jsonl, a-2-of-3.jsonl, … as --out
'a-{part}-of-{parts}.jsonl' makes them. Parts and --out may be objects: 's3://BUCKET/a-*-of-3.jsonl'.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "out", Aliases: []string{"o"},
				Usage:    "write to `FILE` or an object instead of standard output: whole, or not at all",
				Category: "OUTPUT", Destination: &o.Out, TakesFile: true},
			&cli.StringFlag{Name: "format", Usage: "form of the parts and of the output: " +
				strings.Join(output.Formats, ", ") + "; the parts' extension decides", Category: "OUTPUT", Destination: &o.Format},
			&cli.BoolFlag{Name: "overwrite", Usage: "replace what --out holds already", Category: "OUTPUT",
				Destination: &o.Overwrite},
			&cli.BoolFlag{Name: "allow-missing", Usage: "join what parts there are", Category: "INPUT",
				Destination: &o.AllowMissing},
		},
		Action: func(c *cli.Context) error {
			o.Parts = c.Args().Slice()
			for i := range o.Parts {
				if err := local(&o.Parts[i]); err != nil {
					return err
				}
			}
			if err := local(&o.Out); err != nil {
				return err
			}
			if err := validateMerge(&o); err != nil {
				return err
			}
			return remote.Merge(c.Context, con, o)
		},
	}
}

// local makes a path of a file:// address.
func local(arg *string) error {
	path, err := cloud.Local(*arg)
	if err != nil {
		return console.Usagef("", "%q: %v", *arg, err)
	}
	*arg = path
	return nil
}

func validateMerge(o *output.MergeOptions) error {
	if len(o.Parts) == 0 {
		return console.Usagef("captioner merge --out all.jsonl part-*.jsonl",
			"nothing to merge: give the files that the parts wrote")
	}
	if info, err := os.Stat(o.Out); err == nil && info.Mode().IsRegular() && info.Size() > 0 && !o.Overwrite {
		return console.Usagef("--overwrite replaces it; or give another name", "--out %q is there already", o.Out)
	}
	if o.Format != "" {
		return console.OneOf("--format", o.Format, output.Formats...)
	}
	if o.Format = output.FormatOf(o.Parts[0]); o.Format == "" {
		return nameError("the part", o.Parts[0])
	}
	for _, p := range append(slices.Clone(o.Parts), o.Out) {
		if p != "" && p != "-" && output.FormatOf(p) != o.Format {
			return console.Usagef("--format says what all are", "%q is %s by its name, and %q is %s", o.Parts[0], o.Format, p,
				output.FormatOf(p))
		}
	}
	return nil
}
