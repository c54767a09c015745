package cli

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"captioner/cli/console"
	"captioner/cli/flags"
	"captioner/cli/inspect"
	"captioner/models/average"
)

func newWeights(con *console.Console) *cli.Command {
	return &cli.Command{
		Name:  "weights",
		Usage: "fetch published weights; look into, check and convert model files",
		Subcommands: []*cli.Command{newList(con), newFetch(con), newConvert(con), newInspect(con), newAverage(con),
			newVerify(con)},
	}
}

func newInspect(con *console.Console) *cli.Command {
	o := inspect.Options{Tensors: true}
	var short bool
	return &cli.Command{
		Name:      "inspect",
		Usage:     "say what a file of weights is, and list its metadata, card and tensors",
		ArgsUsage: "[FILE]",
		Description: `FILE is a file of safetensors or PyTorch, a folder of Hugging Face, or a name that is here of
"captioner weights list" or of the Hugging Face hub (ORG/NAME); without it, the model that is built in.
A PyTorch file is read without running anything that it holds.`,
		Flags: []cli.Flag{&cli.BoolFlag{Name: "no-tensors", Usage: "leave out the list of tensors", Destination: &short},
			o.Heads.Flag("")},
		Action: func(c *cli.Context) error {
			if c.NArg() > 1 {
				return console.Usagef("", "weights inspect takes one file, found %d", c.NArg())
			}
			o.Path, o.Tensors = c.Args().First(), !short
			return inspect.Run(con, o)
		},
	}
}

func newVerify(con *console.Console) *cli.Command {
	var heads flags.Heads
	return &cli.Command{
		Name:      "verify",
		Usage:     "check a file of weights: structure, checksums, numbers, and whether decoder and encoder fit",
		ArgsUsage: "FILE",
		Description: `FILE is any file or folder that --model or --encoder takes, a name that is here of "captioner
weights list" or of the Hugging Face hub, or demo, the built-in model. Exit code 1 if something is
broken; each such line has its remedy.`,
		Flags: []cli.Flag{heads.Flag("")},
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return console.Usagef("", "weights verify takes one file, found %d", c.NArg())
			}
			return inspect.Verify(c.Context, con, c.Args().First(), heads)
		},
	}
}

func newAverage(con *console.Console) *cli.Command {
	var out string
	return &cli.Command{
		Name:      "average",
		Usage:     "write the mean of the weights of several captioners as one",
		ArgsUsage: "FILE FILE...",
		Description: `For checkpoints of one run (train --keep N), or runs that began with the same weights. They have one
shape and one vocabulary. The mean has no scores: captioner eval gives them.`,
		Flags: []cli.Flag{&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Usage: "model `FILE` to write",
			Destination: &out}},
		Action: func(c *cli.Context) error {
			switch {
			case out == "":
				return console.Usagef("", "weights average wants --out FILE")
			case c.NArg() < 2:
				return console.Usagef("", "weights average takes two or more files, found %d", c.NArg())
			}
			files := c.Args().Slice()
			if err := average.Models(files, out, fmt.Sprintf("captioner weights average %s",
				strings.Join(files, " "))); err != nil {
				return err
			}
			return con.Printf("%s\n", out)
		},
	}
}
