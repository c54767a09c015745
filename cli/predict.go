package cli

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"captioner/cli/cloud"
	"captioner/cli/console"
	"captioner/cli/flags"
	"captioner/cli/input"
	"captioner/cli/model"
	"captioner/cli/output"
	"captioner/cli/paths"
	"captioner/cli/tagging"
	"captioner/data/image"
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

func (o *PredictOptions) flags() []cli.Flag {
	const in, out = "INPUT", "OUTPUT"
	flags := slices.Concat(o.Model.Flags(), o.Decode.Flags(), o.Tags.Flags("TAGS"))
	return append(flags,
		&cli.StringFlag{Name: "embeddings",
			Usage: "caption the rows of `FILE` (.npy or .safetensors) in place of images: what the model's encoder gave " +
				"for them",
			Category: in, Destination: &o.Embeddings, TakesFile: true},
		&cli.BoolFlag{Name: "recursive", Aliases: []string{"r"}, Usage: "look into subfolders, which is what it does anyway",
			Category: in, Destination: &o.Recursive},
		&cli.BoolFlag{Name: "no-recursive", Usage: "do not look into subfolders", Category: in, Destination: &o.NoRecursive},
		&cli.BoolFlag{Name: "watch",
			Usage:    "go on with images that appear in the folders, each when it is whole, until interrupted",
			Category: in, Destination: &o.Watch},
		&cli.BoolFlag{Name: "stdin-image", Usage: "caption the one image whose bytes come on standard input", Category: in,
			Destination: &o.StdinImage},
		&cli.DurationFlag{Name: "url-timeout", Value: 30 * time.Second,
			Usage:    "the longest that fetching one URL may take, and the longest wait for the next bytes out of a bucket",
			Category: in, Destination: &o.URLTimeout},
		&cli.IntFlag{Name: "url-max-mb", Value: 64, Usage: "the largest image that is fetched, in `MB`", Category: in,
			Destination: &o.URLMaxMB},
		&cli.BoolFlag{Name: "url-private",
			Usage:    "fetch from addresses of this machine and of private networks too, and through the environment's proxy",
			Category: in, Destination: &o.URLPrivate},
		&cli.StringFlag{Name: "shard",
			Usage: "only part `I/N` of the images, 1/N to N/N: each image is in one part, whatever files come or go; " +
				"auto or auto/N takes I (and N) from Slurm, Kubernetes, MPI or torchrun",
			Category: in, Destination: &o.Shard},
		&cli.BoolFlag{Name: "no-orient", Usage: "do not turn images as their EXIF data says", Category: in,
			Destination: &o.NoOrient},
		&cli.IntFlag{Name: "max-pixels", Value: defaultMegapixels,
			Usage:    "the largest image that is decoded, in `megapixels`",
			Category: in, Destination: &o.MaxPixels},
		&cli.BoolFlag{Name: "allow-truncated", Usage: "caption what there is of an image whose end is missing",
			Category: in, Destination: &o.AllowPartial},
		&cli.IntFlag{Name: "batch-size", Value: autoBatch, DefaultText: fmt.Sprintf("%d, on a GPU %d", batchCPU, batchGPU),
			Usage:    "images that go through the model together; captions do not depend on it",
			Category: in, Destination: &o.BatchSize},
		&cli.IntFlag{Name: "workers", Value: runtime.NumCPU(), DefaultText: "as many as there are cores",
			Usage: "goroutines that read and decode images", Category: in, Destination: &o.Workers},

		&cli.StringFlag{Name: "format", Value: "text",
			Usage: "form of the output: " + strings.Join(output.Formats, ", ") +
				"; with --out, its extension decides",
			Category: out, Destination: &o.Format},
		&cli.StringFlag{Name: "template", Usage: "a `LINE` of --format text or a sidecar, with {" +
			strings.Join(output.Fields, "}, {") + "}", Category: out, Destination: &o.Template},
		&cli.StringFlag{Name: "out", Aliases: []string{"o"},
			Usage: "write to `FILE`, or an object of s3://, gs:// or az://, instead of standard output: whole at the end, or " +
				"not at all; {part} and {parts} stand for --shard's numbers",
			Category: out, Destination: &o.Out, TakesFile: true},
		&cli.BoolFlag{Name: "resume",
			Usage: "go on with the --out of a run that was interrupted, or add to a finished one; an image that changed " +
				"since is captioned again, below its old caption",
			Category: out, Destination: &o.Resume},
		&cli.BoolFlag{Name: "overwrite", Usage: "start over where --out holds captions already, or anything else",
			Category: out, Destination: &o.Overwrite},
		&cli.StringFlag{Name: "sidecar",
			Usage:    "also write each caption to a file beside its image, with this `EXTENSION`, such as .txt",
			Category: out, Destination: &o.Sidecar},
		&cli.StringFlag{Name: "sidecar-name", Value: "stem",
			Usage:    "how a sidecar of a.jpg is named: stem is a.txt, full is a.jpg.txt",
			Category: out, Destination: &o.SidecarName},
		&cli.StringFlag{Name: "existing", Value: "skip",
			Usage: "a sidecar, or a description in XMP or in an image, that is there already: " +
				strings.Join(output.Policies, ", "),
			Category: out, Destination: &o.Existing},
		&cli.BoolFlag{Name: "write-metadata",
			Usage:    "also write each caption into its JPEG, PNG, WebP or TIFF file, as XMP; the coded image stays as it is",
			Category: out, Destination: &o.WriteMetadata},
		&cli.BoolFlag{Name: "keep-times", Usage: "of --write-metadata: the files keep the times of their last change",
			Category: out, Destination: &o.KeepTimes},
		&cli.BoolFlag{Name: "dry-run", Usage: "say what --sidecar and --write-metadata would write, and do not write it",
			Category: out, Destination: &o.DryRun},
		&cli.StringFlag{Name: "failures", DefaultText: "with --out, FILE.failed",
			Usage:    "list what failed in `FILE`, one JSON object a line",
			Category: out, Destination: &o.Failures, TakesFile: true},
		&cli.StringFlag{Name: "html",
			Usage:    "also write a page `FILE` that shows each image with its caption, and needs nothing else",
			Category: out, Destination: &o.HTML, TakesFile: true},
		&cli.Float64Flag{Name: "min-confidence",
			Usage: "mark captions below this mean token probability, 0 to 1, as uncertain; with --json, a model whose " +
				"card names one does so by itself",
			Category: out, Destination: &o.MinConfidence, DefaultText: "0, with --json the model's own"},
	)
}

// The images of a batch, where the user does not say: on a processor more of them cost memory and gain little.
const (
	autoBatch = -1
	batchCPU  = 32
	batchGPU  = 64
)

// validate checks all that can be checked before a model is loaded, and reports everything that is wrong.
func (o *PredictOptions) validate(json bool) error {
	var errs []error
	check := func(ok bool, hint, format string, args ...any) {
		if !ok {
			errs = append(errs, console.Usagef(hint, format, args...))
		}
	}
	if o.Embeddings != "" {
		errs = append(errs, o.validateEmbeddings()...)
	}
	check(!o.Recursive || !o.NoRecursive, "leave out one of them",
		"--recursive and --no-recursive contradict each other")
	check(!o.StdinImage || len(o.inputs) == 0, "",
		"--stdin-image takes the image from standard input alone, found also %q", o.inputs)
	check(o.URLTimeout > 0, "", "--url-timeout %v: want more than 0", o.URLTimeout)
	check(o.URLMaxMB >= 1 && o.URLMaxMB <= image.MaxFileBytes>>20, "", "--url-max-mb %d: want 1 to %d", o.URLMaxMB,
		image.MaxFileBytes>>20)
	check(o.MaxPixels >= 1 && o.MaxPixels <= 1e6, "", "--max-pixels %d: want 1 to 1000000 megapixels", o.MaxPixels)
	check(o.StdinImage || o.Embeddings != "" || len(o.inputs) > 0,
		"captioner predict photo.jpg, or captioner predict folder/", "nothing to caption: give files, folders, or - for "+
			"a list on standard input")
	check(countDash(o.inputs) <= 1, "", `"-" stands for standard input, and can be read once`)
	check(o.BatchSize == autoBatch || o.BatchSize >= 1 && o.BatchSize <= 4096, "", "--batch-size %d: want 1 to 4096",
		o.BatchSize)
	check(o.Workers >= 1 && o.Workers <= 1024, "", "--workers %d: want 1 to 1024", o.Workers)
	check(o.MinConfidence >= 0 && o.MinConfidence <= 1, "", "--min-confidence %g: want 0 to 1", o.MinConfidence)
	check(!json || o.Format == "jsonl", "leave out one of them", "--json and --format %s contradict each other", o.Format)
	check(!o.Overwrite || o.Out != "", "for sidecars, it is --existing overwrite", "--overwrite needs --out")
	check(!o.Resume || !o.Overwrite, "leave out one of them", "--resume and --overwrite contradict each other")
	check(!o.Resume || o.Out != "", "for sidecars, --existing skip goes on where a run ended", "--resume needs --out")
	check((o.Format == "parquet") == (output.FormatOf(o.Out) == "parquet"), "give --out a name that ends in .parquet",
		"--format %s and --out %q: Parquet is written into a file, whole at the end, and nothing else into such a file",
		o.Format, o.Out)
	check(o.HTML == "" || !o.Resume, "leave out one of them",
		"--html shows the images of this run alone, and --resume leaves out those of earlier ones")
	check(o.HTML == "" || o.HTML != o.Out, "", "--html and --out are one file, %q", o.HTML)
	check(!o.Watch || !o.StdinImage && countDash(o.inputs) == 0, "", "--watch takes folders, not standard input")
	check(!o.Watch || o.HTML == "", "", "--watch has no end at which --html could be written")
	check(!o.Watch || !cloud.Is(o.Out), "give a file", "--watch has no end at which %q could be written", o.Out)
	check(!o.WriteMetadata || !o.Watch, "give --sidecar .xmp instead",
		"--watch would see each image that --write-metadata writes as a new one")
	check(!o.WriteMetadata || !o.StdinImage && o.Embeddings == "", "", "--write-metadata needs images that are files")
	check(!o.KeepTimes || o.WriteMetadata, "", "--keep-times needs --write-metadata")
	check(!o.DryRun || o.WriteMetadata || o.Sidecar != "", "", "--dry-run needs --sidecar or --write-metadata")
	check(o.Embeddings == "" || !o.Watch && o.HTML == "" && o.Format != "webdataset", "",
		"--embeddings has no images for --watch, --html or --format webdataset")
	check(o.Embeddings == "" || o.Tags.File == "", "", "--embeddings has no images for --tags")
	check(o.Embeddings == "" || o.Model.Device != flags.AllGPUs, "--device cuda takes the first",
		"--embeddings are captioned on one GPU, found --device %s", o.Model.Device)
	check(o.Template == "" || o.Format == "text" || o.Sidecar != "" || o.WriteMetadata, "",
		"--template does not apply to --format %s", o.Format)
	check(o.Sidecar == "" || validExtension(o.Sidecar), "",
		"--sidecar %q: want an extension such as .txt that no image has", o.Sidecar)
	errs = append(errs, console.OneOf("--format", o.Format, output.Formats...),
		console.OneOf("--existing", o.Existing, output.Policies...),
		console.OneOf("--sidecar-name", o.SidecarName, output.SidecarNames...), o.Model.Validate(), o.Decode.Validate(),
		o.Tags.Validate(o.Decode.Set))
	if o.Decode.Template() != nil {
		check(o.Embeddings == "", "", "--embeddings has no images for the variables of --prompt")
	}
	var err error
	if o.template, err = output.ParseTemplate(o.Template); err != nil {
		errs = append(errs, err)
	}
	if o.shard, err = input.ParseShard(o.Shard, os.Getenv); err != nil {
		errs = append(errs, err)
	} else if o.Out, err = o.shard.Name(o.Out); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// defaultMegapixels stands for image.DefaultMaxPixels, which is a little less.
const defaultMegapixels = (image.DefaultMaxPixels + 999_999) / 1_000_000

// maxPixels is the limit that --max-pixels says.
func maxPixels(megapixels int) int64 {
	if megapixels == defaultMegapixels {
		return image.DefaultMaxPixels
	}
	return int64(megapixels) * 1_000_000
}

// nameError refuses the name of a file that says nothing of its format.
func nameError(label, path string) error {
	return console.Usagef("--format says what a file of any name is", "%s %q: want a name that ends in %s", label, path,
		output.NameHelp)
}

// unlisted says whether some images cannot be listed before the run: what a table names is known row by row.
func (o *PredictOptions) unlisted() bool {
	return o.Watch || countDash(o.inputs) > 0 || slices.ContainsFunc(o.inputs, func(arg string) bool {
		return strings.Contains(strings.ToLower(arg), ".parquet")
	})
}

func countDash(args []string) (n int) {
	for _, a := range args {
		if a == "-" {
			n++
		}
	}
	return n
}

func validExtension(s string) bool {
	return len(s) > 1 && s[0] == '.' && !strings.ContainsAny(s, "/\\\x00") &&
		!image.HasExtension(s) && !image.HasRawExtension(s)
}
