package training

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"captioner/cli/console"
	"captioner/cli/flags"
	"captioner/cli/published"
	"captioner/models/captioner"
	"captioner/models/encoder"
	"captioner/models/train"
	"captioner/torch"
)

// Options are what the flags of train say.
type Options struct {
	train.Options
	Out    string
	Resume string
	Ranks  flags.Ranks
	text   cli.StringSlice

	evalOnly, scst bool
	void           string // a warning of flags that change nothing
	lowered        bool   // 16 became bfloat16, because the device is a CPU
	kernels        string // "measured", "default", "onednn", "mkl"
	auto           bool   // bfloat16 or float32, whichever is quicker on this CPU
}

// ofTheModel are flags of what a model that training starts from has already.
var ofTheModel = []string{"encoder", "encoder-name", "encoder-heads", "encoder-activation", "language-model", "memory",
	"memory-layers", "width", "layers", "heads", "positions", "vocab-min-count"}

// hasAlready are those flags of a run that starts from a model.
func (o *Options) hasAlready() []string {
	if !o.ExtendVocab {
		return ofTheModel
	}
	return slices.DeleteFunc(slices.Clone(ofTheModel), func(name string) bool { return name == "vocab-min-count" })
}

// ofTheRun are the flags that a run keeps once it has begun.
func ofTheRun(c *cli.Context) (names []string) {
	for _, f := range c.Command.Flags {
		if name := f.Names()[0]; name != "resume" && !ofTheProcess[name] {
			names = append(names, name)
		}
	}
	return names
}

// ofTheProcess are flags that say nothing about what is learnt.
var ofTheProcess = map[string]bool{"cache": true, "nproc": true, "dist-timeout": true, "kernels": true, "quiet": true,
	"verbose": true,
	"json":    true, "log-format": true, "help": true}

// voidOf names the flags among some that were given and change nothing; "" for none.
func voidOf(c *cli.Context, why string, names []string) string {
	var void []string
	for _, name := range names {
		if c.IsSet(name) {
			void = append(void, "--"+name)
		}
	}
	if len(void) == 0 {
		return ""
	}
	return why + ", so that this changes nothing: " + strings.Join(void, ", ")
}

// beginWith is what the flags say where none is given.
func beginWith(o train.Options) *Options { return &Options{Options: o, kernels: "measured"} }

// underRecipe is what the flags say where a recipe gives the defaults.
func underRecipe(c *cli.Context, o Options) (*Options, error) {
	if o.Recipe == "" {
		return &o, nil
	}
	recipe, err := train.RecipeOptions(o.Recipe)
	if err != nil {
		return nil, console.Usagef("", "--%v", err)
	}
	under := beginWith(recipe)
	set := flag.NewFlagSet("train", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	for _, f := range under.flags() {
		if err := f.Apply(set); err != nil {
			return nil, err
		}
		name := f.Names()[0]
		if _, list := f.(*cli.StringSliceFlag); list || !c.IsSet(name) {
			continue
		}
		if err := set.Set(name, fmt.Sprint(c.Value(name))); err != nil {
			return nil, console.Usagef("", "--%s: %v", name, err)
		}
	}
	under.text = o.text
	return under, nil
}

func (o *Options) flags() []cli.Flag {
	d := o.Options
	text := func(category, name, usage string, to *string, aliases ...string) cli.Flag {
		return &cli.StringFlag{Name: name, Aliases: aliases, Usage: usage, Category: category, Value: *to, Destination: to}
	}
	count := func(category, name, usage string, to *int, aliases ...string) cli.Flag {
		return &cli.IntFlag{Name: name, Aliases: aliases, Usage: usage, Category: category, Value: *to, Destination: to}
	}
	big := func(category, name, usage string, to *int64) cli.Flag {
		return &cli.Int64Flag{Name: name, Usage: usage, Category: category, Value: *to, Destination: to}
	}
	counted := func(category, name, usage string, to *float64, aliases ...string) cli.Flag {
		return &cli.Float64Flag{Name: name, Aliases: aliases, Usage: usage, Category: category, Value: *to,
			Destination: to}
	}
	number := func(category, name, usage string, to *float64) cli.Flag { return counted(category, name, usage, to) }
	yes := func(category, name, usage string, to *bool) cli.Flag {
		return &cli.BoolFlag{Name: name, Usage: usage, Category: category, Value: *to, Destination: to}
	}
	const (
		input, result, net, vision, xe, scst, how = "DATA", "RESULT", "NETWORK", "ENCODER AND " +
			"IMAGES", "CROSS-ENTROPY", "SELF-CRITICAL TRAINING", "HOW"
	)
	flags := []cli.Flag{
		text(input, "data", "captions to learn: `FILE` or folder in any known form; or coco2014, which is fetched into "+
			"the cache folder (about 20 GB)", &o.Data),
		text(input, "images", "`FOLDER` of their images; without it, looked for beside the captions", &o.Images),
		text(input, "val", "captions to measure on: `FILE` or folder", &o.Val),
		text(input, "val-images", "`FOLDER` of their images", &o.ValImages),
		number(input, "val-fraction",
			"share of --data to measure on where there is no --val; where it is not given, at least 10 images of it, or a "+
				"fifth of few", &o.ValFraction),
		&cli.StringSliceFlag{Name: "text",
			Usage:    "plain text `FILE` to pretrain the decoder on, a sentence a line; may be given again",
			Category: input, Destination: &o.text},
		yes(input, "skip-bad", "go on without images that are not there", &o.SkipBad),
		text(result, "out", "run `FOLDER`, made anew", &o.Out, "o"),
		text(result, "resume", "go on with the run in `FOLDER`; all its options are kept but --cache", &o.Resume, "r"),
		text(result, "name", "of the captioner", &o.Name),
		text(result, "licence", "of the result, for its card", &o.Licence),
		text(net, "encoder", "`FILE` or name of the vision encoder's weights, in any form: lite0 or lite2 "+
			"(EfficientNet-Lite), demo (the built-in model's), one of \"weights list\", or ORG/NAME of the Hugging Face "+
			"hub", &o.Encoder, "vision-backbone"),
		text(net, "encoder-name",
			"refuse an encoder of another architecture than `NAME`, such as efficientnet-lite2 or ViT-B/32", &o.EncoderName),
		big(net, "encoder-heads", "attention heads of an encoder whose file does not say them; 0: it does",
			&o.EncoderHeads),
		text(net, "encoder-activation", "of a CLIP as encoder whose files do not say it: gelu (most of OpenCLIP's) or "+
			"quick_gelu (OpenAI's)", &o.EncoderActivation),
		text(net, "memory", "what the decoder sees of an image: "+strings.Join(encoder.MemoryKinds,
			", ")+"; without it, what suits the encoder", &o.Memory),
		text(net, "init", "start from the model `FILE`, or from ORG/NAME of the Hugging Face hub, its tokenizer and its "+
			"encoder: GPT-2 with cross-attention, or a BLIP; demo is the built-in model", &o.Init, "checkpoint"),
		text(net, "language-model",
			"start the decoder from GPT-2: distilgpt2, gpt2, gpt2-medium, ORG/NAME of the Hugging Face hub, a `FILE` or a "+
				"folder; its sizes and words replace "+
				"those below", &o.LanguageModel),
		big(net, "width", "of the decoder", &o.Width),
		count(net, "layers", "of the decoder", &o.Layers),
		big(net, "heads", "of each attention", &o.Heads),
		big(net, "positions", "longest caption in tokens", &o.Positions),
		big(net, "vocab-min-count",
			"tokens used less often are spelt from smaller ones; where it is not given, fewer are with few "+
				"captions", &o.VocabMinCount),
		yes(net, "extend-vocab", "with --init: give what captions and --text use --vocab-min-count times or more "+
			"tokens of its own, besides those of the model", &o.ExtendVocab),
		number(net, "dropout", "of what each part of the decoder adds; from a BLIP, its own where it is not given",
			&o.Dropout),
		number(net, "input-dropout", "of embeddings and memory", &o.InputDropout),
		number(net, "attention-dropout", "of the decoder's attention; from a BLIP, its own where it is not given",
			&o.AttentionDropout),
		count(net, "memory-layers", "of attention between the places of the memory, before the decoder looks at them",
			&o.MemoryLayers),
		count(vision, "views", "ways of showing each image that are cached: whole, mirrored (with --flip), then crops; 0: "+
			"no crops", &o.Views),
		number(vision, "crop-share", "share of an image's area that a crop shows at least", &o.CropShare),
		yes(vision, "flip", "show half of the images mirrored, but those whose captions say left or right", &o.Flip),
		yes(vision, "train-encoder", "let the encoder learn too, an EfficientNet or a ViT; batch statistics stay",
			&o.TrainEncoder),
		count(vision, "encoder-from",
			"stage, or block of a ViT, that it learns from on (what enters it is cached); 0: all of it, with images "+
				"decoded, cropped and mirrored anew each time; -1: the last two", &o.EncoderFrom),
		number(vision, "encoder-lr", "its learning rate where the rest has --lr, and in the same ratio later", &o.EncoderLR),
		number(vision, "encoder-after", "epochs before it begins to learn", &o.EncoderAfter),
		yes(vision, "recompute", "compute the encoder's maps twice instead of keeping them for the gradient: less memory, "+
			"more time", &o.Recompute),
		text(xe, "recipe", "`NAME` of other defaults: clip-text-decoder (1.4), clip-text-decoder-1.2 or "+
			"clip-text-decoder-1.4 train as that package does", &o.Recipe),
		counted(xe, "max-epochs", "epochs; where it is not given, there are more on few images, so that there are 300 steps",
			&o.Epochs, "epochs"),
		count(xe, "batch-size", "images a batch", &o.BatchSize),
		count(xe, "captions-per-image", "captions of each image in a batch; 1 draws one each round", &o.Captions),
		count(xe, "accumulate-grad-batches", "batches a step", &o.Accumulate),
		counted(xe, "lr", "highest learning rate; from a BLIP, 1e-5 where it is not given", &o.LR, "learning-rate"),
		count(xe, "warmup", "steps of rise; where it is not given, at most a tenth of the steps", &o.Warmup),
		text(xe, "schedule", "after the rise: cosine, linear, constant, or plateau (halved after each two measurements "+
			"without a better one)", &o.Schedule),
		number(xe, "lr-floor", "share of the learning rate at the end", &o.LRFloor),
		number(xe, "weight-decay", "of matrices; norms, biases and places have none", &o.WeightDecay),
		yes(xe, "decay-all", "let norms, biases and places decay too", &o.DecayAll),
		yes(xe, "loss-over-padding", "pad captions with end tokens and learn these too, as clip-text-decoder does",
			&o.Padded),
		text(xe, "prompt", "`TEXT` before every caption that is not learned itself, as \"a picture of\" of BLIP's "+
			"authors; the model begins its captions with it and leaves it out of them; where it is not given, that of "+
			"--init; \" \": none", &o.Prompt),
		yes(xe, "verbatim", "learn captions as they are written, with their last full stop", &o.Verbatim),
		number(xe, "beta1", "of AdamW", &o.Beta1),
		number(xe, "beta2", "of AdamW", &o.Beta2),
		number(xe, "clip", "largest norm of all gradients together; 0: any", &o.Clip),
		number(xe, "label-smoothing", "share of the target spread over all words; from a BLIP, its own where it is not given",
			&o.LabelSmoothing),
		number(xe, "ema", "share kept by the moving average of the weights, which is what is measured and stored; 0: "+
			"none; where it is not given, less on few steps", &o.EMA),
		number(xe, "text-epochs", "epochs through --text", &o.TextEpochs),
		text(xe, "monitor", "what the best checkpoint is chosen by: cider, bleu4 or val_loss", &o.Monitor),
		count(xe, "patience", "measurements without a better one before a phase ends early; 0: never", &o.Patience),
		yes(scst, "scst", "only this, from the model of --init: 120 steps where --scst-steps does not say", &o.scst),
		number(scst, "scst-bleu", "weight of BLEU-4 beside CIDEr-D in the reward", &o.SCSTBLEU),
		count(scst, "scst-steps", "steps after the captions, with CIDEr-D as the reward; 0: none", &o.SCSTSteps),
		count(scst, "scst-batch-size", "images a step", &o.SCSTBatch),
		count(scst, "scst-samples", "captions drawn for each image", &o.SCSTSamples),
		number(scst, "scst-lr", "highest learning rate; from a BLIP, 2e-6 where it is not given", &o.SCSTLR),
		number(scst, "scst-temperature", "of draws and gradient", &o.SCSTTemperature),
		number(scst, "scst-ema", "as --ema", &o.SCSTEMA),
		count(scst, "scst-eval-every", "steps between measurements", &o.SCSTEvery),
		text(how, "precision",
			"16 (float16 with loss scaling; on a CPU the quicker of bf16 and 32, measured), bf16, 32, Lightning's 16-mixed, "+
				"bf16-mixed and 32-true, fp16 (float16 also on a CPU: slow), or auto (as 16)",
			&o.Precision),
		text(how, "kernels", "what makes linear layers in float32 on a CPU: measured (the quicker here), onednn, mkl, "+
			"or default", &o.kernels),
		text(how, "device", "`DEVICE`: auto, cpu, cuda or cuda:N", &o.Device),
		count(how, "threads", "of one computation; 0: as many as there are cores", &o.Threads),
		big(how, "seed", "decides everything that is drawn", &o.Seed),
		count(how, "beam-size", "of the last measurement, and of the captioner by default", &o.Beam, "beam"),
		number(how, "length-penalty", "exponent of the length in a beam's score", &o.LengthPenalty),
		text(how, "cache", "`FOLDER` of cached features; without it, the user's cache folder", &o.Cache),
		yes(how, "dry-run", "tell the plan and what it needs, take two steps of each phase, and write nothing", &o.DryRun),
		yes(how, "eval-only", "learn nothing: measure the model of --init on --val", &o.evalOnly),
		count(how, "keep", "model files of measurements to keep beside the best and the last", &o.Keep),
		count(how, "log-every", "steps that a line of metrics.jsonl sums up; 0: 10", &o.LogEvery),
		count(how, "save-every", fmt.Sprintf("steps between checkpoints (each phase also ends with one); default %d",
			d.SaveEvery), &o.SaveEvery),
	}
	return append(flags, o.Ranks.Flags()...)
}

// settle turns the flags into options that train understands, and tells where a wish had to give way.
func (o *Options) settle(con *console.Console) error {
	if o.Out != "" && o.Resume != "" {
		return console.Usagef("", "train wants either --out FOLDER for a new run or --resume FOLDER, found both")
	}
	if err := o.Ranks.Validate(); err != nil {
		return err
	}
	if o.Resume != "" {
		return nil
	}
	auto := o.Precision == "auto"
	number, ok := torch.ParsePrecision(o.Precision)
	if number.DType == torch.Int8 || !ok && !auto {
		return console.Usagef("", "--precision %q: want 16, bf16, 32, 16-mixed, bf16-mixed, 32-true or auto", o.Precision)
	}
	if o.Precision = number.Name; number.Loose || auto {
		o.Precision = "fp16"
	}
	if err := console.OneOf("--kernels", o.kernels, "measured", "default", "own", "onednn", "mkl"); err != nil {
		return err
	}
	if err := o.shorten(); err != nil {
		return err
	}
	if err := flags.ValidDevice(o.Device); err != nil {
		return err
	}
	if number.Loose || auto {
		dev, err := torch.ParseDevice(o.Device)
		if err != nil {
			return &captioner.DeviceError{Err: err}
		}
		if !dev.IsCUDA() {
			o.Precision, o.lowered, o.auto = "bf16", number.Loose, auto
		}
	}
	all := o.Options
	if all.Data == "" { // COCO 2014, perhaps
		all.Data = published.CocoName
	}
	if err := all.Validate(); err != nil {
		return console.Usagef("run \"captioner train --help\" for the flags", "%s", console.OneLine(err))
	}
	return o.wantsCOCO(con)
}

// hold keeps what flags say as they say it, however few images there are.
func (o *Options) hold(c *cli.Context) {
	if c.IsSet("warmup") {
		o.Fit.Warmup = false
	}
	if c.IsSet("ema") {
		o.Fit.EMA = false
	}
	if c.IsSet("vocab-min-count") {
		o.Fit.Vocab = false
	}
	if c.IsSet("max-epochs") {
		o.Fit.MinSteps = 0
	}
	if c.IsSet("val-fraction") {
		o.Fit.MinVal = 0
	}
	o.Fit.Own = slices.DeleteFunc(slices.Clone(o.Fit.Own), c.IsSet)
}

// shorten leaves phases out where a flag wants only one thing, and fills in what nobody said.
func (o *Options) shorten() error {
	if (o.scst || o.evalOnly) && o.Init == "" {
		return console.Usagef("", "--scst and --eval-only want the model to start from: --init FILE")
	}
	if o.scst || o.evalOnly {
		o.Epochs, o.TextEpochs = 0, 0
		if o.evalOnly {
			o.SCSTSteps = 0
		} else if o.SCSTSteps == 0 {
			o.SCSTSteps = 120
		}
	}
	if o.Encoder == "" && o.Init == "" {
		o.Encoder = "ViT-B/32"
	}
	for n := 1; o.Out == ""; n++ {
		dir := filepath.Join("runs", strconv.Itoa(n))
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			o.Out = dir
		} else if err != nil {
			return err
		}
	}
	return nil
}

// commandLine is the command as the card tells it: every flag that was set, in the order of the help, without what
// changes nothing.
func commandLine(c *cli.Context) string {
	parts := []string{"captioner train"}
	for _, f := range c.Command.Flags {
		name := f.Names()[0]
		if !c.IsSet(name) || name == "out" || ofTheProcess[name] {
			continue
		}
		switch f.(type) {
		case *cli.BoolFlag:
			parts = append(parts, fmt.Sprintf("--%s=%v", name, c.Bool(name)))
		case *cli.StringSliceFlag:
			for _, v := range c.StringSlice(name) {
				parts = append(parts, "--"+name+" "+v)
			}
		default:
			parts = append(parts, fmt.Sprintf("--%s %v", name, c.Value(name)))
		}
	}
	return strings.Join(parts, " ")
}
