// Package scoring is the command eval: predictions or a model against references, as a table, as JSON and as a page.
package scoring

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"captioner/cli/console"
	"captioner/cli/flags"
	"captioner/cli/model"
	"captioner/cli/output"
	"captioner/cli/ranks"
	"captioner/data"
	"captioner/data/metrics"
	"captioner/data/predictions"
	"captioner/models/evaluate"
	"captioner/torch/dist"
)

// Options are what the flags of eval say.
type Options struct {
	Ranks  flags.Ranks
	Model  flags.Model
	Decode flags.Decode

	Data, Images, Predictions, Against string
	Strict                             bool
	Missing                            string // "skip" or "empty"
	BatchSize, Workers                 int
	NoOrient                           bool

	Tokenize             string // "each" or "together"
	METEOR, DF, Training string
	CLIP                 string // a checkpoint
	CLIPActivation       flags.Activation
	Tags                 string // a list of which the threshold is looked for
	Resamples            int
	Seed                 uint64

	Report, Title, Save, SaveDF string
	Overwrite                   bool
	ReportPictures              int

	load                model.Loader
	references, metrics cli.StringSlice
}

func Command(con *console.Console, load model.Loader) *cli.Command {
	o := Options{load: load}
	return &cli.Command{
		Name:  "eval",
		Usage: "score captions against what people wrote",
		Description: `captioner eval --model FILE --data CAPTIONS           captions the images of a data set, and scores
captioner eval --predictions FILE --references FILE   scores captions that are there already, and loads no model

Predictions are COCO results ([{"image_id": 1, "caption": "…"}]), JSON lines with path or image_id and
caption, {"id": "caption"}, CSV or TSV with a header, or text with a caption a line. References are any
data set that train takes, a file of ids and captions, or texts whose lines belong together. BLEU,
ROUGE-L, CIDEr and METEOR are coco-caption's numbers, as fractions (CIDEr is 0 to 10). What is missing,
extra, double or empty is counted in warnings; --strict makes it an error.`,
		Flags: o.flags(),
		Action: func(c *cli.Context) error {
			if err := flags.NoArguments(c); err != nil {
				return err
			}
			o.Decode.Set = c.IsSet
			if err := o.validate(); err != nil {
				return err
			}
			if o.Predictions != "" { // nothing to share
				return run(c.Context, con, &o, nil)
			}
			return ranks.Share(c.Context, con, o.Ranks,
				func(ctx context.Context, g *dist.Group) error { return run(ctx, con, &o, g) })
		},
	}
}

func (o *Options) flags() []cli.Flag {
	return slices.Concat(o.Model.Flags(), o.Decode.Flags(), o.inputFlags(), o.measureFlags(), o.outputFlags(),
		o.Ranks.Flags())
}

// inputFlags say what is scored, and against what.
func (o *Options) inputFlags() []cli.Flag {
	const input = "INPUT"
	return []cli.Flag{
		&cli.StringFlag{Name: "data",
			Usage:    "images with `CAPTIONS`, in any form that train takes; FILE#test takes a split",
			Category: input, Destination: &o.Data},
		&cli.StringFlag{Name: "images", Usage: "`FOLDER` of the images; without it, looked for beside the captions",
			Category: input, Destination: &o.Images},
		&cli.StringFlag{Name: "predictions", Aliases: []string{"p"}, Usage: "score the captions in `FILE`", Category: input,
			Destination: &o.Predictions, TakesFile: true},
		&cli.StringSliceFlag{Name: "references", Aliases: []string{"r"},
			Usage:    "`FILE` of what people wrote, as --data; may be given again for texts of lines",
			Category: input, Destination: &o.references, TakesFile: true},
		&cli.StringFlag{Name: "against", Usage: "compare with the captions in `FILE`, on the images that both have",
			Category: input, Destination: &o.Against, TakesFile: true},
		&cli.StringFlag{Name: "missing", Value: "skip",
			Usage:    "an image without a prediction: skip, or count as an empty caption",
			Category: input, Destination: &o.Missing},
		&cli.BoolFlag{Name: "strict", Usage: "fail where ids are missing, extra or double, or captions empty",
			Category: input, Destination: &o.Strict},
		&cli.BoolFlag{Name: "no-orient", Usage: "do not turn images as their EXIF data says", Category: input,
			Destination: &o.NoOrient},
		&cli.IntFlag{Name: "batch-size", Value: 16,
			Usage:    "images that go through the model together; captions do not depend on it",
			Category: input, Destination: &o.BatchSize},
		&cli.IntFlag{Name: "workers", Value: runtime.NumCPU(), DefaultText: "as many as there are cores",
			Usage: "goroutines that read and decode images", Category: input, Destination: &o.Workers},
	}
}

// measureFlags say what is measured, and how.
func (o *Options) measureFlags() []cli.Flag {
	const how = "MEASURES"
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "metric", Usage: "only these: " + strings.Join(evaluate.Families, ", ") +
			"; may be given several times", DefaultText: "all but bleu-gpt2 and bleu-hf",
			Category: how, Destination: &o.metrics},
		&cli.StringFlag{Name: "meteor",
			Usage: "METEOR's data: a `FOLDER` with meteor-1.5.jar and data/paraphrase-en.gz, such as " +
				"pycocoevalcap's", DefaultText: "what \"captioner weights fetch meteor\" got, if it did",
			Category: how, Destination: &o.METEOR},
		&cli.StringFlag{Name: "tags",
			Usage: "in place of scoring captions, find the threshold for predict --tags `FILE` that best tells the tags " +
				"which the captions of --data name",
			Category: how, Destination: &o.Tags, TakesFile: true},
		&cli.StringFlag{Name: "clip",
			Usage: "CLIP for CLIPScore and RefCLIPScore: a checkpoint `FILE` with both towers, or a name of weights list " +
				"(ViT-B/32 for published numbers) or of the Hugging Face hub (ORG/NAME), which is fetched",
			Category: how, Destination: &o.CLIP, TakesFile: true},
		o.CLIPActivation.CLIPFlag(how),
		&cli.StringFlag{Name: "df",
			Usage:    "document frequencies of CIDEr-D: a `FILE` of --save-df; without it, the references' own",
			Category: how, Destination: &o.DF, TakesFile: true},
		&cli.StringFlag{Name: "training", Usage: "captions that the model has learnt from: `FILE`, for novelty",
			Category: how, Destination: &o.Training, TakesFile: true},
		&cli.StringFlag{Name: "tokenize", Value: "together", Usage: "all captions together, as coco-caption does, " +
			"where the end of a caption can depend on the next one; or each by itself",
			Category: how, Destination: &o.Tokenize},
		&cli.IntFlag{Name: "bootstrap", Value: metrics.DefaultBootstrapOptions().Resamples,
			Usage: "resamples for intervals and p-values; 0: none", Category: how, Destination: &o.Resamples},
		&cli.Uint64Flag{Name: "bootstrap-seed", Usage: "decides the resamples", Category: how, Destination: &o.Seed},
	}
}

// outputFlags say what is written besides the scores.
func (o *Options) outputFlags() []cli.Flag {
	const output = "OUTPUT"
	return []cli.Flag{
		&cli.StringFlag{Name: "report", Usage: "write a page with scores, histograms and photographs to `FILE`.html",
			Category: output, Destination: &o.Report, TakesFile: true},
		&cli.IntFlag{Name: "report-pictures", Value: 60,
			Usage:    "captions on that page: the best, the worst and as many between them",
			Category: output, Destination: &o.ReportPictures},
		&cli.StringFlag{Name: "title", Usage: "of that page", Category: output, Destination: &o.Title},
		&cli.StringFlag{Name: "save",
			Usage:    "write the captions of --model to `FILE`: COCO results for .json, else .jsonl, .csv, .tsv or .parquet",
			Category: output, Destination: &o.Save, TakesFile: true},
		&cli.BoolFlag{Name: "overwrite", Usage: "replace the captions that --save holds already", Category: output,
			Destination: &o.Overwrite},
		&cli.StringFlag{Name: "save-df", Usage: "write the document frequencies of the references to `FILE`",
			Category: output, Destination: &o.SaveDF, TakesFile: true},
	}
}

// wants says whether a measure is to be shown. The original's own are shown only on request.
func (o *Options) wants(family string) bool {
	chosen := o.metrics.Value()
	if len(chosen) == 0 {
		return family != "bleu-gpt2" && family != "bleu-hf"
	}
	return slices.Contains(chosen, family)
}

// validate checks all that can be checked before a file is read, and reports everything that is wrong.
func (o *Options) validate() error {
	var wrong console.Mistakes
	o.validateInputs(&wrong)
	o.validateMeasures(&wrong)
	o.validateOutputs(&wrong)
	if o.Predictions == "" {
		wrong.Add(o.Model.Validate(), o.Decode.Validate(), o.Ranks.Validate())
		wrong.Check(o.Decode.Template() == nil, "predict fills in variables", "--prompt: eval gives all images one prompt")
	}
	return wrong.Err()
}

func (o *Options) validateInputs(wrong *console.Mistakes) {
	refs := o.references.Value()
	const example = "captioner eval --predictions captions.json --references captions_val2017.json, or captioner eval " +
		"--data captions_val2017.json"
	wrong.Check(o.Data != "" || len(refs) > 0, example, "nothing to score against: give --references, or --data")
	wrong.Check(o.Data == "" || len(refs) == 0, "", "--data and --references are the same thing: give one of them")
	wrong.Check(o.Tags == "" || o.Data != "" && o.Predictions == "", "", "--tags wants --data, and no predictions")
	wrong.Check(o.Tags == "" || !o.Decode.Set("nproc"), "", "--tags is of one process, found --nproc")
	wrong.Check(o.Predictions != "" || len(refs) <= 1, "", "to caption and score, give one --data")
	wrong.Check(o.Predictions == "" || !o.Decode.Set("model"), "leave out one of them",
		"--predictions and --model contradict each other")
	wrong.Check(!o.Decode.Set("num-captions"), "", "--num-captions does not apply to eval: the best caption is scored")
	wrong.Check(o.BatchSize >= 1 && o.BatchSize <= 4096, "", "--batch-size %d: want 1 to 4096", o.BatchSize)
	wrong.Check(o.Workers >= 1 && o.Workers <= 1024, "", "--workers %d: want 1 to 1024", o.Workers)
	wrong.Add(console.OneOf("--missing", o.Missing, "skip", "empty"))
}

func (o *Options) validateMeasures(wrong *console.Mistakes) {
	wrong.Check(o.Resamples >= 0 && o.Resamples <= 1_000_000, "", "--bootstrap %d: want 0 to 1000000", o.Resamples)
	wrong.Check(o.Resamples > 0 || o.Against == "", "", "--against needs --bootstrap for its p-values")
	for _, m := range o.metrics.Value() {
		wrong.Add(console.OneOf("--metric", m, evaluate.Families...))
	}
	if len(o.metrics.Value()) > 0 {
		wrong.Check(!o.wants("clipscore") && !o.wants("refclipscore") || o.CLIP != "", "",
			"--metric clipscore needs a CLIP: give --clip FILE or NAME")
		wrong.Check(!o.wants("novelty") || o.Training != "", "", "--metric novelty needs --training FILE")
	}
	wrong.Add(o.CLIPActivation.ValidateCLIP(o.CLIP), console.OneOf("--tokenize", o.Tokenize, "each", "together"))
}

func (o *Options) validateOutputs(wrong *console.Mistakes) {
	wrong.Check(o.ReportPictures >= 0 && o.ReportPictures <= 10_000, "", "--report-pictures %d: want 0 to 10000",
		o.ReportPictures)
	wrong.Check(o.Report != "" || !o.Decode.Set("title") && !o.Decode.Set("report-pictures"), "",
		"--title and --report-pictures need --report")
	wrong.Add(output.CheckPage("--report", o.Report))
	wrong.Check(o.Predictions == "" || o.Save == "", "", "--save needs a model: the predictions are in a file already")
	wrong.Check(o.Save == "" || o.Overwrite || !holdsAnything(o.Save), "--overwrite replaces it; or give another name",
		"--save %q is there already", o.Save)
	forms := []string{"jsonl", "csv", "tsv", "coco", "parquet"}
	wrong.Check(o.Save == "" || slices.Contains(forms, output.FormatOf(o.Save)), "",
		"--save %q: want a name that ends in .json, .jsonl, .csv or .tsv, or in one of these and .gz or .zst, or in .parquet",
		o.Save)
}

// evaluation is one run of eval.
type evaluation struct {
	con   *console.Console
	o     *Options
	group *dist.Group // processes that share the captioning; nil for this one alone

	scorer      *evaluate.Scorer
	predictions *predictions.Set
	mismatches  evaluate.Mismatches
	captioned   *captioned // nil where predictions came from a file

	system     evaluate.System
	measures   []evaluate.Measure
	facts      []evaluate.Fact
	comparison *evaluate.Comparison // nil without --against
}

func run(ctx context.Context, con *console.Console, o *Options, g *dist.Group) error {
	if o.Tags != "" {
		return calibrate(ctx, con, o)
	}
	e := &evaluation{con: con, o: o, group: g}
	e.scorer = &evaluate.Scorer{Wants: o.wants, Together: o.Tokenize == "together", ZeroFill: o.Missing == "empty"}
	defer func() { e.scorer.CLIP.Close() }()
	if err := e.run(ctx); err != nil {
		if errors.Is(err, console.ErrInterrupted) {
			return err
		}
		return fmt.Errorf("eval: %w", err)
	}
	if !e.group.IsLead() {
		return nil
	}
	if err := e.print(); err != nil {
		return err
	}
	if e.captioned != nil && e.captioned.failed > 0 || e.scorer.CLIP != nil && len(e.scorer.CLIP.Unread) > 0 {
		return console.ErrSome
	}
	return nil
}

func (e *evaluation) run(ctx context.Context) (err error) {
	if err := e.readReferences(); err != nil {
		return err
	}
	if e.o.Predictions != "" {
		if e.predictions, err = predictions.Read(e.o.Predictions); err == nil {
			logNotes(e.con, e.predictions.Notes)
		}
	} else {
		e.predictions, err = e.caption(ctx)
	}
	if err != nil {
		return err
	}
	if !e.group.IsLead() {
		return nil // rank 0 scores
	}
	if err := e.score(ctx); err != nil {
		return err
	}
	if e.o.Against != "" {
		if err := e.compare(ctx); err != nil {
			return err
		}
	}
	return e.write()
}

func (e *evaluation) readReferences() error {
	paths := e.o.references.Value()
	if e.o.Data != "" {
		paths = []string{e.o.Data}
	}
	set, err := predictions.ReadReferences(e.o.Images, paths...)
	if err != nil {
		return err
	}
	if set.Kind == data.KindKarpathy && !strings.HasSuffix(paths[0], "#"+set.Split) {
		return console.Usagef("papers score on "+paths[0]+"#test", "%q has several splits: say which one", paths[0])
	}
	e.scorer.Set = set
	e.scorer.Examples, err = data.Collect(set.Source)
	logNotes(e.con, set.Notes)
	return err
}

// logNotes logs what was left out of a file, or read by a rule.
func logNotes(con *console.Console, notes *data.Notes) {
	for _, line := range notes.Lines() {
		con.Term.Log.Warn(line)
	}
}

// holdsAnything says whether there is a file that is not empty.
func holdsAnything(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Size() > 0
}
