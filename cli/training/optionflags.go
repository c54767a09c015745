package training

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"captioner/models/encoder"
)

func (o *Options) flags() []cli.Flag {
	return slices.Concat(o.dataFlags("DATA"), o.resultFlags("RESULT"), o.networkFlags("NETWORK"),
		o.visionFlags("ENCODER AND IMAGES"), o.crossEntropyFlags("CROSS-ENTROPY"), o.scstFlags("SELF-CRITICAL TRAINING"),
		o.runFlags("HOW"), o.Ranks.Flags())
}

// category makes the flags of one heading of the help. The default of a flag is what its option holds already.
type category string

func (g category) text(name, usage string, to *string, aliases ...string) cli.Flag {
	return &cli.StringFlag{Name: name, Aliases: aliases, Usage: usage, Category: string(g), Value: *to, Destination: to}
}

func (g category) count(name, usage string, to *int, aliases ...string) cli.Flag {
	return &cli.IntFlag{Name: name, Aliases: aliases, Usage: usage, Category: string(g), Value: *to, Destination: to}
}

func (g category) big(name, usage string, to *int64) cli.Flag {
	return &cli.Int64Flag{Name: name, Usage: usage, Category: string(g), Value: *to, Destination: to}
}

func (g category) number(name, usage string, to *float64, aliases ...string) cli.Flag {
	return &cli.Float64Flag{Name: name, Aliases: aliases, Usage: usage, Category: string(g), Value: *to, Destination: to}
}

func (g category) yes(name, usage string, to *bool) cli.Flag {
	return &cli.BoolFlag{Name: name, Usage: usage, Category: string(g), Value: *to, Destination: to}
}

// dataFlags say what is learned, and what is measured on.
func (o *Options) dataFlags(g category) []cli.Flag {
	return []cli.Flag{
		g.text("data", "captions to learn: `FILE` or folder in any known form; or coco2014, which is fetched into "+
			"the cache folder (about 20 GB)", &o.Data),
		g.text("images", "`FOLDER` of their images; without it, looked for beside the captions", &o.Images),
		g.text("val", "captions to measure on: `FILE` or folder", &o.Val),
		g.text("val-images", "`FOLDER` of their images", &o.ValImages),
		g.number("val-fraction",
			"share of --data to measure on where there is no --val; where it is not given, at least 10 images of it, or a "+
				"fifth of few", &o.ValFraction),
		&cli.StringSliceFlag{Name: "text",
			Usage:    "plain text `FILE` to pretrain the decoder on, a sentence a line; may be given again",
			Category: string(g), Destination: &o.text},
		g.yes("skip-bad", "go on without images that are not there", &o.SkipBad),
	}
}

// resultFlags say where the run goes.
func (o *Options) resultFlags(g category) []cli.Flag {
	return []cli.Flag{
		g.text("out", "run `FOLDER`, made anew", &o.Out, "o"),
		g.text("resume", "go on with the run in `FOLDER`; all its options are kept but --cache", &o.Resume, "r"),
		g.text("name", "of the captioner", &o.Name),
		g.text("licence", "of the result, for its card", &o.Licence),
	}
}

// networkFlags say what the captioner is made of, and what it starts from.
func (o *Options) networkFlags(g category) []cli.Flag {
	return []cli.Flag{
		g.text("encoder", "`FILE` or name of the vision encoder's weights, in any form: lite0 or lite2 "+
			"(EfficientNet-Lite), demo (the built-in model's), one of \"weights list\", or ORG/NAME of the Hugging Face "+
			"hub", &o.Encoder, "vision-backbone"),
		g.text("encoder-name",
			"refuse an encoder of another architecture than `NAME`, such as efficientnet-lite2 or ViT-B/32", &o.EncoderName),
		g.big("encoder-heads", "attention heads of an encoder whose file does not say them; 0: it does",
			&o.EncoderHeads),
		g.text("encoder-activation", "of a CLIP as encoder whose files do not say it: gelu (most of OpenCLIP's) or "+
			"quick_gelu (OpenAI's)", &o.EncoderActivation),
		g.text("memory", "what the decoder sees of an image: "+strings.Join(encoder.MemoryKinds,
			", ")+"; without it, what suits the encoder", &o.Memory),
		g.text("init", "start from the model `FILE`, or from ORG/NAME of the Hugging Face hub, its tokenizer and its "+
			"encoder: GPT-2 with cross-attention, or a BLIP; demo is the built-in model", &o.Init, "checkpoint"),
		g.text("language-model",
			"start the decoder from GPT-2: distilgpt2, gpt2, gpt2-medium, ORG/NAME of the Hugging Face hub, a `FILE` or a "+
				"folder; its sizes and words replace "+
				"those below", &o.LanguageModel),
		g.big("width", "of the decoder", &o.Width),
		g.count("layers", "of the decoder", &o.Layers),
		g.big("heads", "of each attention", &o.Heads),
		g.big("positions", "longest caption in tokens", &o.Positions),
		g.big("vocab-min-count",
			"tokens used less often are spelt from smaller ones; where it is not given, fewer are with few "+
				"captions", &o.VocabMinCount),
		g.yes("extend-vocab", "with --init: give what captions and --text use --vocab-min-count times or more "+
			"tokens of its own, besides those of the model", &o.ExtendVocab),
		g.number("dropout", "of what each part of the decoder adds; from a BLIP, its own where it is not given",
			&o.Dropout),
		g.number("input-dropout", "of embeddings and memory", &o.InputDropout),
		g.number("attention-dropout", "of the decoder's attention; from a BLIP, its own where it is not given",
			&o.AttentionDropout),
		g.count("memory-layers", "of attention between the places of the memory, before the decoder looks at them",
			&o.MemoryLayers),
	}
}

// visionFlags say how images are shown, and whether the encoder learns.
func (o *Options) visionFlags(g category) []cli.Flag {
	return []cli.Flag{
		g.count("views", "ways of showing each image that are cached: whole, mirrored (with --flip), then crops; 0: "+
			"no crops", &o.Views),
		g.number("crop-share", "share of an image's area that a crop shows at least", &o.CropShare),
		g.yes("flip", "show half of the images mirrored, but those whose captions say left or right", &o.Flip),
		g.yes("train-encoder", "let the encoder learn too, an EfficientNet or a ViT; batch statistics stay",
			&o.TrainEncoder),
		g.count("encoder-from",
			"stage, or block of a ViT, that it learns from on (what enters it is cached); 0: all of it, with images "+
				"decoded, cropped and mirrored anew each time; -1: the last two", &o.EncoderFrom),
		g.number("encoder-lr", "its learning rate where the rest has --lr, and in the same ratio later", &o.EncoderLR),
		g.number("encoder-after", "epochs before it begins to learn", &o.EncoderAfter),
		g.yes("recompute", "compute the encoder's maps twice instead of keeping them for the gradient: less memory, "+
			"more time", &o.Recompute),
	}
}

// crossEntropyFlags are of learning the captions, token by token.
func (o *Options) crossEntropyFlags(g category) []cli.Flag {
	return []cli.Flag{
		g.text("recipe", "`NAME` of other defaults: clip-text-decoder (1.4), clip-text-decoder-1.2 or "+
			"clip-text-decoder-1.4 train as that package does", &o.Recipe),
		g.number("max-epochs", "epochs; where it is not given, there are more on few images, so that there are 300 steps",
			&o.Epochs, "epochs"),
		g.count("batch-size", "images a batch", &o.BatchSize),
		g.count("captions-per-image", "captions of each image in a batch; 1 draws one each round", &o.Captions),
		g.count("accumulate-grad-batches", "batches a step", &o.Accumulate),
		g.number("lr", "highest learning rate; from a BLIP, 1e-5 where it is not given", &o.LR, "learning-rate"),
		g.count("warmup", "steps of rise; where it is not given, at most a tenth of the steps", &o.Warmup),
		g.text("schedule", "after the rise: cosine, linear, constant, or plateau (halved after each two measurements "+
			"without a better one)", &o.Schedule),
		g.number("lr-floor", "share of the learning rate at the end", &o.LRFloor),
		g.number("weight-decay", "of matrices; norms, biases and places have none", &o.WeightDecay),
		g.yes("decay-all", "let norms, biases and places decay too", &o.DecayAll),
		g.yes("loss-over-padding", "pad captions with end tokens and learn these too, as clip-text-decoder does",
			&o.Padded),
		g.text("prompt", "`TEXT` before every caption that is not learned itself, as \"a picture of\" of BLIP's "+
			"authors; the model begins its captions with it and leaves it out of them; where it is not given, that of "+
			"--init; \" \": none", &o.Prompt),
		g.yes("verbatim", "learn captions as they are written, with their last full stop", &o.Verbatim),
		g.number("beta1", "of AdamW", &o.Beta1),
		g.number("beta2", "of AdamW", &o.Beta2),
		g.number("clip", "largest norm of all gradients together; 0: any", &o.Clip),
		g.number("label-smoothing", "share of the target spread over all words; from a BLIP, its own where it is not given",
			&o.LabelSmoothing),
		g.number("ema", "share kept by the moving average of the weights, which is what is measured and stored; 0: "+
			"none; where it is not given, less on few steps", &o.EMA),
		g.number("text-epochs", "epochs through --text", &o.TextEpochs),
		g.text("monitor", "what the best checkpoint is chosen by: cider, bleu4 or val_loss", &o.Monitor),
		g.count("patience", "measurements without a better one before a phase ends early; 0: never", &o.Patience),
	}
}

// scstFlags are of self-critical training, which comes after.
func (o *Options) scstFlags(g category) []cli.Flag {
	return []cli.Flag{
		g.yes("scst", "only this, from the model of --init: 120 steps where --scst-steps does not say", &o.scst),
		g.number("scst-bleu", "weight of BLEU-4 beside CIDEr-D in the reward", &o.SCSTBLEU),
		g.count("scst-steps", "steps after the captions, with CIDEr-D as the reward; 0: none", &o.SCSTSteps),
		g.count("scst-batch-size", "images a step", &o.SCSTBatch),
		g.count("scst-samples", "captions drawn for each image", &o.SCSTSamples),
		g.number("scst-lr", "highest learning rate; from a BLIP, 2e-6 where it is not given", &o.SCSTLR),
		g.number("scst-temperature", "of draws and gradient", &o.SCSTTemperature),
		g.number("scst-ema", "as --ema", &o.SCSTEMA),
		g.count("scst-eval-every", "steps between measurements", &o.SCSTEvery),
	}
}

// runFlags say how it is computed, measured and kept.
func (o *Options) runFlags(g category) []cli.Flag {
	return []cli.Flag{
		g.text("precision",
			"16 (float16 with loss scaling; on a CPU the quicker of bf16 and 32, measured), bf16, 32, Lightning's 16-mixed, "+
				"bf16-mixed and 32-true, fp16 (float16 also on a CPU: slow), or auto (as 16)",
			&o.Precision),
		g.text("kernels", "what makes linear layers in float32 on a CPU: measured (the quicker here), onednn, mkl, "+
			"or default", &o.kernels),
		g.text("device", "`DEVICE`: auto, cpu, cuda or cuda:N", &o.Device),
		g.count("threads", "of one computation; 0: as many as there are cores", &o.Threads),
		g.big("seed", "decides everything that is drawn", &o.Seed),
		g.count("beam-size", "of the last measurement, and of the captioner by default", &o.Beam, "beam"),
		g.number("length-penalty", "exponent of the length in a beam's score", &o.LengthPenalty),
		g.text("cache", "`FOLDER` of cached features; without it, the user's cache folder", &o.Cache),
		g.yes("dry-run", "tell the plan and what it needs, take two steps of each phase, and write nothing", &o.DryRun),
		g.yes("eval-only", "learn nothing: measure the model of --init on --val", &o.evalOnly),
		g.count("keep", "model files of measurements to keep beside the best and the last", &o.Keep),
		g.count("log-every", "steps that a line of metrics.jsonl sums up; 0: 10", &o.LogEvery),
		g.count("save-every", fmt.Sprintf("steps between checkpoints (each phase also ends with one); default %d",
			o.SaveEvery), &o.SaveEvery),
	}
}
