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
	"captioner/cli/input"
	"captioner/cli/output"
	"captioner/data/image"
)

func (o *PredictOptions) flags() []cli.Flag {
	return slices.Concat(o.Model.Flags(), o.Decode.Flags(), o.Tags.Flags("TAGS"), o.inputFlags(), o.resourceFlags(),
		o.outputFlags(), o.besideFlags())
}

// inputFlags say which images are captioned, and how they are read.
func (o *PredictOptions) inputFlags() []cli.Flag {
	const in = "INPUT"
	return []cli.Flag{
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
	}
}

// resourceFlags bound what is decoded, and how much at once.
func (o *PredictOptions) resourceFlags() []cli.Flag {
	const in = "INPUT"
	return []cli.Flag{
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
	}
}

// outputFlags say where the captions go, and in which form.
func (o *PredictOptions) outputFlags() []cli.Flag {
	const out = "OUTPUT"
	return []cli.Flag{
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
	}
}

// besideFlags say what is written besides: into files next to the images, into the images, and what tells of the run.
func (o *PredictOptions) besideFlags() []cli.Flag {
	const out = "OUTPUT"
	return []cli.Flag{
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
	}
}

// The images of a batch, where the user does not say: on a processor more of them cost memory and gain little.
const (
	autoBatch = -1
	batchCPU  = 32
	batchGPU  = 64
)

// validate checks all that can be checked before a model is loaded, and reports everything that is wrong.
func (o *PredictOptions) validate(json bool) error {
	var wrong console.Mistakes
	o.validateInputs(&wrong)
	o.validateOutputs(&wrong, json)
	o.validateBeside(&wrong)
	wrong.Add(console.OneOf("--format", o.Format, output.Formats...),
		console.OneOf("--existing", o.Existing, output.Policies...),
		console.OneOf("--sidecar-name", o.SidecarName, output.SidecarNames...), o.Model.Validate(), o.Decode.Validate(),
		o.Tags.Validate(o.Decode.Set))
	if o.Embeddings != "" {
		o.validateEmbeddings(&wrong)
	}
	wrong.Add(o.settle())
	return wrong.Err()
}

func (o *PredictOptions) validateInputs(wrong *console.Mistakes) {
	wrong.Check(!o.Recursive || !o.NoRecursive, "leave out one of them",
		"--recursive and --no-recursive contradict each other")
	wrong.Check(!o.StdinImage || len(o.inputs) == 0, "",
		"--stdin-image takes the image from standard input alone, found also %q", o.inputs)
	wrong.Check(o.URLTimeout > 0, "", "--url-timeout %v: want more than 0", o.URLTimeout)
	wrong.Check(o.URLMaxMB >= 1 && o.URLMaxMB <= image.MaxFileBytes>>20, "", "--url-max-mb %d: want 1 to %d", o.URLMaxMB,
		image.MaxFileBytes>>20)
	wrong.Check(o.MaxPixels >= 1 && o.MaxPixels <= 1e6, "", "--max-pixels %d: want 1 to 1000000 megapixels", o.MaxPixels)
	wrong.Check(o.StdinImage || o.Embeddings != "" || len(o.inputs) > 0,
		"captioner predict photo.jpg, or captioner predict folder/", "nothing to caption: give files, folders, or - for "+
			"a list on standard input")
	wrong.Check(countDash(o.inputs) <= 1, "", `"-" stands for standard input, and can be read once`)
	wrong.Check(o.BatchSize == autoBatch || o.BatchSize >= 1 && o.BatchSize <= 4096, "", "--batch-size %d: want 1 to 4096",
		o.BatchSize)
	wrong.Check(o.Workers >= 1 && o.Workers <= 1024, "", "--workers %d: want 1 to 1024", o.Workers)
	wrong.Check(!o.Watch || !o.StdinImage && countDash(o.inputs) == 0, "", "--watch takes folders, not standard input")
}

func (o *PredictOptions) validateOutputs(wrong *console.Mistakes, json bool) {
	wrong.Check(!json || o.Format == "jsonl", "leave out one of them", "--json and --format %s contradict each other",
		o.Format)
	wrong.Check(!o.Overwrite || o.Out != "", "for sidecars, it is --existing overwrite", "--overwrite needs --out")
	wrong.Check(!o.Resume || !o.Overwrite, "leave out one of them", "--resume and --overwrite contradict each other")
	wrong.Check(!o.Resume || o.Out != "", "for sidecars, --existing skip goes on where a run ended",
		"--resume needs --out")
	wrong.Check((o.Format == "parquet") == (output.FormatOf(o.Out) == "parquet"),
		"give --out a name that ends in .parquet",
		"--format %s and --out %q: Parquet is written into a file, whole at the end, and nothing else into such a file",
		o.Format, o.Out)
	wrong.Check(!o.Watch || !cloud.Is(o.Out), "give a file", "--watch has no end at which %q could be written", o.Out)
	wrong.Check(o.Template == "" || o.Format == "text" || o.Sidecar != "" || o.WriteMetadata, "",
		"--template does not apply to --format %s", o.Format)
}

func (o *PredictOptions) validateBeside(wrong *console.Mistakes) {
	wrong.Check(o.MinConfidence >= 0 && o.MinConfidence <= 1, "", "--min-confidence %g: want 0 to 1", o.MinConfidence)
	wrong.Check(o.HTML == "" || !o.Resume, "leave out one of them",
		"--html shows the images of this run alone, and --resume leaves out those of earlier ones")
	wrong.Check(o.HTML == "" || o.HTML != o.Out, "", "--html and --out are one file, %q", o.HTML)
	wrong.Check(!o.Watch || o.HTML == "", "", "--watch has no end at which --html could be written")
	wrong.Check(!o.WriteMetadata || !o.Watch, "give --sidecar .xmp instead",
		"--watch would see each image that --write-metadata writes as a new one")
	wrong.Check(!o.WriteMetadata || !o.StdinImage && o.Embeddings == "", "",
		"--write-metadata needs images that are files")
	wrong.Check(!o.KeepTimes || o.WriteMetadata, "", "--keep-times needs --write-metadata")
	wrong.Check(!o.DryRun || o.WriteMetadata || o.Sidecar != "", "", "--dry-run needs --sidecar or --write-metadata")
	wrong.Check(o.Sidecar == "" || validExtension(o.Sidecar), "",
		"--sidecar %q: want an extension such as .txt that no image has", o.Sidecar)
}

// settle makes of --template and --shard what the run uses.
func (o *PredictOptions) settle() error {
	var template, shard error
	o.template, template = output.ParseTemplate(o.Template)
	if o.shard, shard = input.ParseShard(o.Shard, os.Getenv); shard == nil {
		o.Out, shard = o.shard.Name(o.Out)
	}
	return errors.Join(template, shard)
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
