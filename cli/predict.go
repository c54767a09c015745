package cli

import (
	"time"

	"github.com/urfave/cli/v2"

	"captioner/cli/console"
	"captioner/cli/flags"
	"captioner/cli/input"
	"captioner/cli/model"
	"captioner/cli/output"
	"captioner/cli/paths"
	"captioner/cli/tagging"
)

// PredictOptions are what the flags of predict say.
type PredictOptions struct {
	Model  flags.Model
	Decode flags.Decode
	Tags   tagging.Options

	BatchSize, Workers     int
	Embeddings             string
	Recursive, NoRecursive bool
	StdinImage             bool
	URLTimeout             time.Duration
	URLMaxMB               int
	URLPrivate             bool
	NoOrient, AllowPartial bool
	MaxPixels              int // in megapixels
	Shard                  string

	Format, Out, Template string
	Resume, Overwrite     bool
	Sidecar, SidecarName  string
	Existing              string
	WriteMetadata         bool
	DryRun, KeepTimes     bool
	Failures, HTML        string
	Watch                 bool
	MinConfidence         float64

	load     model.Loader
	shown    string            // what Out is called in messages
	guard    paths.Guard       // of what cannot be listed before
	named    map[string]string // files that the command line names, with its words for them
	inputs   []string
	shard    input.Shard
	template output.Template
}

func newPredict(con *console.Console, load model.Loader) *cli.Command {
	o := PredictOptions{load: load, Model: flags.Model{All: true}}
	return &cli.Command{
		Name:      "predict",
		Usage:     "caption images",
		ArgsUsage: "FILE|FOLDER|GLOB|ARCHIVE|URL|- ...",
		Description: `Prints a line "path<TAB>caption" for each image, in natural order. Folders are searched with all
their subfolders; a quoted pattern may have *, ?, [a-z], {jpg,png}, {000..127} and, across folders, **; the
images of a .tar, .tar.gz or .zip that is named come in its own order; http and https URLs are
fetched; s3://, gs:// and az:// name objects, prefixes that end with /, patterns and archives in
buckets; "-" reads any of these from standard input, one a line or separated by NUL. An image that
cannot be read costs one line on standard error (with --json also an object with path and error), and
exit code 3 at the end. In lines, a backslash, tab, line end or other control character of a path is
written \\, \t, \n, \xNN.`,
		Flags: o.flags(),
		Action: func(c *cli.Context) error {
			o.inputs = c.Args().Slice()
			o.Decode.Set = c.IsSet
			if o.Out == "-" { // standard output, by its usual name
				o.Out = ""
			}
			if err := local(&o.Out); err != nil {
				return err
			}
			if con.Options.JSON && !c.IsSet("format") {
				o.Format = "jsonl"
			}
			if o.Out != "" && !c.IsSet("format") && !con.Options.JSON {
				if o.Format = output.FormatOf(o.Out); o.Format == "" {
					return nameError("--out", o.Out)
				}
			}
			if err := o.validate(con.Options.JSON); err != nil {
				return err
			}
			o.named = paths.Named("predict", c)
			if o.unlisted() {
				o.guard = paths.NewGuard("predict", c, con.Stdout)
			}
			if o.Embeddings != "" {
				return runEmbeddings(c.Context, con, o)
			}
			return runPredict(c.Context, con, o)
		},
	}
}
