package cli

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"captioner/models/captioner"
	"captioner/models/train"
	"captioner/torch"
	"captioner/torch/dist"
)

// TrainOptions are what the flags of train say.
type TrainOptions struct {
	train.Options
	Out    string
	Resume string
	Ranks  rankOptions
	text   cli.StringSlice

	evalOnly, scst bool
	void           string // a warning of flags that change nothing
	lowered        bool   // 16 became bfloat16, because the device is a CPU
}

func newTrain(p *program) *cli.Command {
	o := TrainOptions{Options: train.DefaultOptions()}
	return &cli.Command{
		Name:  "train",
		Usage: "train a captioner on captioned pictures",
		Description: `Learns from --data in the run folder --out; the result is best.safetensors there, which --model of every
command takes. The encoder's features are computed once and cached. Ctrl-C saves a checkpoint, and
--resume DIR goes on from the last one to the very weights that the run would have reached.
--val captions are never learnt from: they choose the best checkpoint and give its scores.`,
		Flags: o.flags(),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			o, err := underRecipe(c, o)
			if err != nil {
				return err
			}
			o.Text = o.text.Value()
			switch {
			case o.Resume != "" && o.Out == "":
				o.void = voidOf(c, "a run that goes on keeps its options", ofTheRun(c))
			case o.Init != "":
				o.void = voidOf(c, "the model of --init has its own", ofTheModel)
			}
			o.Command = commandLine(c)
			return runTrain(c.Context, p, o)
		},
	}
}

// ofTheModel are flags of what a model that training starts from has already.
var ofTheModel = []string{"encoder", "encoder-name", "language-model", "memory", "memory-layers", "width", "layers", "heads", "positions", "vocab-min-count"}

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
var ofTheProcess = map[string]bool{"cache": true, "nproc": true, "dist-timeout": true, "quiet": true, "verbose": true, "json": true, "log-format": true, "help": true}

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

// underRecipe is what the flags say where a recipe gives the defaults.
func underRecipe(c *cli.Context, o TrainOptions) (*TrainOptions, error) {
	if o.Recipe == "" {
		return &o, nil
	}
	recipe, err := train.RecipeOptions(o.Recipe)
	if err != nil {
		return nil, usagef("", "--%v", err)
	}
	under := &TrainOptions{Options: recipe}
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
			return nil, usagef("", "--%s: %v", name, err)
		}
	}
	under.text = o.text
	return under, nil
}

func (o *TrainOptions) flags() []cli.Flag {
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
	number := func(category, name, usage string, to *float64) cli.Flag {
		return &cli.Float64Flag{Name: name, Usage: usage, Category: category, Value: *to, Destination: to}
	}
	yes := func(category, name, usage string, to *bool) cli.Flag {
		return &cli.BoolFlag{Name: name, Usage: usage, Category: category, Value: *to, Destination: to}
	}
	const (
		input, result, net, eye, xe, scst, how = "DATA", "RESULT", "NETWORK", "ENCODER AND PICTURES", "CROSS-ENTROPY", "SELF-CRITICAL TRAINING", "HOW"
	)
	flags := []cli.Flag{
		text(input, "data", "captions to learn: `FILE` or folder in any known form; without it, COCO 2014 is fetched into the cache folder", &o.Data),
		text(input, "images", "`FOLDER` of their pictures; without it, looked for beside the captions", &o.Images),
		text(input, "val", "captions to measure on: `FILE` or folder", &o.Val),
		text(input, "val-images", "`FOLDER` of their pictures", &o.ValImages),
		number(input, "val-fraction", "share of --data to measure on where there is no --val", &o.ValShare),
		&cli.StringSliceFlag{Name: "text", Usage: "plain text `FILE` to pretrain the decoder on, a sentence a line; may be given again", Category: input, Destination: &o.text},
		yes(input, "skip-bad", "go on without pictures that are not there", &o.SkipBad),
		text(result, "out", "run `FOLDER`, made anew", &o.Out, "o"),
		text(result, "resume", "go on with the run in `FOLDER`; all its options are kept but --cache", &o.Resume),
		text(result, "name", "of the captioner", &o.Name),
		text(result, "licence", "of the result, for its card", &o.Licence),
		text(net, "encoder", "`FILE` or name of the encoder's weights: EfficientNet-Lite, CLIP or BLIP, in any form (see \"weights list\")", &o.Encoder, "vision-backbone"),
		text(net, "encoder-name", "refuse an encoder of another architecture than `NAME`, such as efficientnet-lite2 or ViT-B/32", &o.EncoderName),
		text(net, "memory", "what the decoder sees of a picture: "+strings.Join(captioner.MemoryKinds, ", ")+"; without it, what suits the encoder", &o.Memory),
		text(net, "init", "start from the model `FILE`, its words and its encoder", &o.Init, "checkpoint"),
		text(net, "language-model", "start the decoder from GPT-2: distilgpt2, gpt2, gpt2-medium, a `FILE` or a folder; its sizes and words replace those below", &o.LanguageModel),
		big(net, "width", "of the decoder", &o.Width),
		count(net, "layers", "of the decoder", &o.Layers),
		big(net, "heads", "of each attention", &o.Heads),
		big(net, "positions", "longest caption in tokens", &o.Positions),
		big(net, "vocab-min-count", "tokens used less often are spelt from smaller ones", &o.MinCount),
		number(net, "dropout", "of what each part of the decoder adds", &o.Dropout),
		number(net, "input-dropout", "of embeddings and memory", &o.InputDropout),
		number(net, "attention-dropout", "of the decoder's attention", &o.AttentionDropout),
		count(net, "memory-layers", "of attention between the places of the memory, before the decoder looks at them", &o.MemoryLayers),
		count(eye, "views", "ways of showing each picture that are cached: whole, mirrored (with --flip), then crops; 0: no crops", &o.Views),
		number(eye, "crop-share", "share of a picture's area that a crop shows at least", &o.CropShare),
		yes(eye, "flip", "show half of the pictures mirrored, but those whose captions say left or right", &o.Flip),
		yes(eye, "train-encoder", "let the encoder learn too, an EfficientNet or a ViT of CLIP; batch statistics stay", &o.TrainEncoder),
		count(eye, "encoder-from", "stage, or block of a ViT, that it learns from on (what enters it is cached); 0: all of it, with pictures decoded, cropped and mirrored anew each time; -1: the last two", &o.EncoderFrom),
		number(eye, "encoder-lr", "its learning rate where the rest has --lr, and in the same ratio later", &o.EncoderLR),
		number(eye, "encoder-after", "rounds before it begins to learn", &o.EncoderAfter),
		yes(eye, "recompute", "compute the encoder's maps twice instead of keeping them for the gradient: less memory, more time", &o.Recompute),
		text(xe, "recipe", "`NAME` of other defaults: clip-text-decoder (1.4), clip-text-decoder-1.2 or clip-text-decoder-1.4 train as that package does", &o.Recipe),
		number(xe, "max-epochs", "rounds through the captions", &o.Epochs),
		count(xe, "batch-size", "pictures a batch", &o.BatchSize),
		count(xe, "captions-per-image", "captions of each picture in a batch; 1 draws one each round", &o.Captions),
		count(xe, "accumulate-grad-batches", "batches a step", &o.Accumulate),
		number(xe, "lr", "highest learning rate", &o.LR),
		count(xe, "warmup", "steps of rise", &o.Warmup),
		text(xe, "schedule", "after the rise: cosine, linear, constant, or plateau (halved after each two measurements without a better one)", &o.Schedule),
		number(xe, "lr-floor", "share of the learning rate at the end", &o.Floor),
		number(xe, "weight-decay", "of matrices; norms, biases and places have none", &o.WeightDecay),
		yes(xe, "decay-all", "let norms, biases and places decay too", &o.DecayAll),
		yes(xe, "loss-over-padding", "pad captions with end tokens and learn these too, as clip-text-decoder does", &o.Padded),
		yes(xe, "verbatim", "learn captions as they are written, with their last full stop", &o.Verbatim),
		number(xe, "beta1", "of AdamW", &o.Beta1),
		number(xe, "beta2", "of AdamW", &o.Beta2),
		number(xe, "clip", "largest norm of all gradients together; 0: any", &o.Clip),
		number(xe, "label-smoothing", "share of the target spread over all words", &o.Smoothing),
		number(xe, "ema", "share kept by the moving average of the weights, which is what is measured and stored; 0: none", &o.EMA),
		number(xe, "text-epochs", "rounds through --text", &o.TextEpochs),
		text(xe, "monitor", "what the best checkpoint is chosen by: cider, bleu4 or val_loss", &o.Monitor),
		count(xe, "patience", "measurements without a better one before a phase ends early; 0: never", &o.Patience),
		yes(scst, "scst", "only this, from the model of --init: 120 steps where --scst-steps does not say", &o.scst),
		number(scst, "scst-bleu", "weight of BLEU-4 beside CIDEr-D in the reward", &o.SCSTBLEU),
		count(scst, "scst-steps", "steps after the captions, with CIDEr-D as the reward; 0: none", &o.SCSTSteps),
		count(scst, "scst-batch-size", "pictures a step", &o.SCSTBatch),
		count(scst, "scst-samples", "captions drawn for each picture", &o.SCSTSamples),
		number(scst, "scst-lr", "highest learning rate", &o.SCSTLR),
		number(scst, "scst-temperature", "of draws and gradient", &o.SCSTTemperature),
		number(scst, "scst-ema", "as --ema", &o.SCSTEMA),
		count(scst, "scst-eval-every", "steps between measurements", &o.SCSTEvery),
		text(how, "precision", "16 (float16 with loss scaling; bfloat16 on a CPU), bf16, 32, Lightning's 16-mixed, bf16-mixed and 32-true, or fp16 (float16 also on a CPU: slow)", &o.Precision),
		text(how, "device", "auto, cpu, cuda or cuda:`N`", &o.Device),
		count(how, "threads", "of one computation; 0: as many as there are cores", &o.Threads),
		big(how, "seed", "decides everything that is drawn", &o.Seed),
		count(how, "beam-size", "of the last measurement, and of the captioner by default", &o.Beam, "beam"),
		number(how, "length-penalty", "exponent of the length in a beam's score", &o.Penalty),
		text(how, "cache", "`FOLDER` of cached features; without it, the user's cache folder", &o.Cache),
		yes(how, "dry-run", "tell the plan and what it needs, take two steps of each phase, and write nothing", &o.DryRun),
		yes(how, "eval-only", "learn nothing: measure the model of --init on --val", &o.evalOnly),
		count(how, "keep", "model files of measurements to keep beside the best and the last", &o.Keep),
		count(how, "log-every", "steps that a line of metrics.jsonl sums up; 0: 10", &o.LogEvery),
		count(how, "save-every", fmt.Sprintf("steps between checkpoints (each phase also ends with one); default %d", d.SaveEvery), &o.SaveEvery),
	}
	return append(flags, o.Ranks.flags()...)
}

// precisions are the spellings of --precision, Lightning's among them.
var precisions = map[string]string{"16": "16", "16-mixed": "16", "fp16": "fp16", "bf16": "bf16", "bf16-mixed": "bf16", "32": "fp32",
	"32-true": "fp32", "fp32": "fp32"}

// settle turns the flags into options that train understands, and tells where a wish had to give way.
func (o *TrainOptions) settle(p *program) error {
	if o.Out != "" && o.Resume != "" {
		return usagef("", "train wants either --out FOLDER for a new run or --resume FOLDER, found both")
	}
	if err := o.Ranks.validate(); err != nil {
		return err
	}
	if o.Resume != "" {
		return nil
	}
	known, ok := precisions[o.Precision]
	if !ok {
		return usagef("", "--precision %q: want 16, bf16, 32, 16-mixed, bf16-mixed or 32-true", o.Precision)
	}
	if o.Precision = known; known == "16" {
		o.Precision = "fp16"
	}
	if err := o.shorten(); err != nil {
		return err
	}
	if err := validDevice(o.Device); err != nil {
		return err
	}
	if known == "16" {
		dev, err := torch.ParseDevice(o.Device)
		if err != nil {
			return withHint(err, "--device cpu works everywhere")
		}
		if !dev.IsCUDA() {
			o.Precision, o.lowered = "bf16", true
		}
	}
	all := o.Options
	if all.Data == "" { // COCO, which is fetched when all else is in order
		all.Data = cocoName
		if o.Val != "" || o.Images != "" || o.ValImages != "" {
			return usagef("", "--val, --images and --val-images need --data: without it, COCO 2014 has its own")
		}
	}
	if err := all.Validate(); err != nil {
		return usagef("run \"captioner train --help\" for the flags", "%s", oneLine(err))
	}
	return nil
}

// shorten leaves phases out where a flag wants only one thing, and fills in what nobody said.
func (o *TrainOptions) shorten() error {
	if (o.scst || o.evalOnly) && o.Init == "" {
		return usagef("", "--scst and --eval-only want the model to start from: --init FILE")
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

func runTrain(ctx context.Context, p *program, o *TrainOptions) error {
	if err := o.settle(p); err != nil {
		return err
	}
	return p.share(ctx, o.Ranks, func(ctx context.Context, g *dist.Group) error { return trainIn(ctx, p, o, g) })
}

// trainIn trains in this process, which may be one of a group.
func trainIn(ctx context.Context, p *program, o *TrainOptions, g *dist.Group) error {
	if o.void != "" && (g == nil || g.Rank == 0) {
		p.term.log.Warn(o.void)
	}
	if o.lowered {
		p.term.log.Info("--precision 16 on a CPU: training in bfloat16, which needs no loss scaling")
	}
	for _, path := range []*string{&o.Encoder, &o.Init, &o.LanguageModel} {
		if err := p.findFile(ctx, path); err != nil {
			return err
		}
	}
	r := &trainReport{p: p, start: time.Now()}
	var err error
	dir := o.Out
	o.Group, o.Version = g, Version
	if o.Resume != "" {
		dir = o.Resume
		err = train.ResumeGroup(ctx, dir, train.Options{Group: g, Version: Version, Cache: o.Cache}, r.tell)
	} else {
		if o.Data == "" {
			if err := p.fetchCOCO(ctx, o, g); err != nil {
				return err
			}
		}
		err = train.Run(ctx, dir, o.Options, r.tell)
	}
	p.term.show(nil)
	if errors.Is(err, context.Canceled) {
		p.term.log.Warn("training stopped and saved", "hint", resumeCommand(dir))
		return errInterrupted
	}
	if g != nil && g.Rank != 0 && errors.Is(err, train.ErrNotFinite) {
		return errReported // all ranks know of it, and the first says it
	}
	var dead *dist.Error
	if errors.As(err, &dead) {
		return withHint(err, "%q goes on from the last checkpoint, in as many processes or others", resumeCommand(dir))
	}
	if err != nil {
		return trainHint(err, dir)
	}
	if o.DryRun || g != nil && g.Rank != 0 {
		return nil
	}
	return r.result(dir)
}

// resumeCommand is what goes on with a run, as a shell takes it.
func resumeCommand(dir string) string {
	if strings.ContainsAny(dir, " \t\n\"'$`\\&;|<>()*?[]{}!#~") {
		dir = "'" + strings.ReplaceAll(dir, "'", `'\''`) + "'"
	}
	return "captioner train --resume " + dir
}

// trainHint adds what may help where memory or room on the disk ran out, or the run folder cannot be written.
func trainHint(err error, dir string) error {
	var full *torch.OpError
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return withHint(err, "make room; %q goes on from the last checkpoint", resumeCommand(dir))
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		return withHint(err, "a run wants a folder that it may write into: --out FOLDER; one that was begun goes on with %q", resumeCommand(dir))
	case errors.Is(err, train.ErrNotFinite):
		return withHint(err, "a new run with a lower --lr or with --precision 32 may get past it; with --init it may start from %s if that is there", filepath.Join(dir, "best.safetensors"))
	case errors.As(err, &full) && strings.Contains(full.Msg, "memory"):
		return withHint(err, "half of --batch-size with twice of --accumulate-grad-batches learns the same with less memory")
	}
	return err
}

// trainReport tells what a run says: on a terminal by a bar, else by a line every ten seconds; measurements always.
type trainReport struct {
	p     *program
	start time.Time

	mu    sync.Mutex
	said  time.Time
	phase string
	since time.Time // when the phase began, for its rate
	rows  int
	first int // step that the phase began at here
	epoch int // that the bar is of; -1 before the first
	final map[string]float64
}

func (r *trainReport) tell(e train.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if e.Note != "" {
		r.p.term.log.Info(e.Note)
		return
	}
	if e.Phase != r.phase {
		r.phase, r.since, r.rows, r.first, r.epoch = e.Phase, now, 0, e.Step, -1
	}
	r.rows += e.Rows
	if e.Scores != nil {
		r.scores(e)
		return
	}
	if r.p.term.live {
		r.draw(e)
	} else if now.Sub(r.said) >= 10*time.Second {
		r.said = now
		r.p.term.log.Info(r.line(e, now))
	}
}

// draw shows a step on a bar: one for each epoch, which counts captions.
func (r *trainReport) draw(e train.Event) {
	epoch, done, all, b := 0, int64(e.Step), int64(e.Steps), &bar{about: "encoding"}
	if e.Phase != "encode" && e.Epoch > 0 {
		per := max(1, int(math.Round(float64(e.Step)/e.Epoch))) // steps
		epoch = (e.Step - 1) / per
		begun := epoch * per
		done, all, b = int64((e.Step-begun)*e.Rows), int64(min(per, e.Steps-begun)*e.Rows), &bar{unit: "cap"}
		name := e.Phase
		if name == "captions" {
			name = "epoch"
		}
		b.about = fmt.Sprintf("%s %d/%d %s %.3f lr %.1e", name, epoch+1, (e.Steps+per-1)/per, r.measured(e), e.Loss, e.LR)
	}
	if epoch != r.epoch {
		r.epoch = epoch
		r.p.term.show(b)
	}
	r.p.term.describe(b.about)
	r.p.term.update(done, all, 0)
}

// line is a step for people: "captions 120/2400 (epoch 0.50) loss 3.124 lr 0.00061 540 captions/s, 3m20s left".
func (r *trainReport) line(e train.Event, now time.Time) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s %d/%d", e.Phase, e.Step, e.Steps)
	if e.Phase != "encode" {
		value := fmt.Sprintf("%.4f", e.Loss)
		if e.Loss == 0 && e.Skipped > 0 { // every step since the last sum was left out
			value = "-"
		}
		fmt.Fprintf(&s, " (epoch %.2f) %s %s lr %.2g", e.Epoch, r.measured(e), value, e.LR)
		if e.Skipped > 0 {
			fmt.Fprintf(&s, " %d steps skipped (overflow)", e.Skipped)
		}
	}
	gone := now.Sub(r.since).Seconds()
	if r.rows > 0 && gone > 0 {
		fmt.Fprintf(&s, " %.0f captions/s", float64(r.rows)/gone)
	}
	if done := e.Step - r.first; done > 0 && e.Steps > e.Step {
		left := time.Duration(gone / float64(done) * float64(e.Steps-e.Step) * float64(time.Second))
		fmt.Fprintf(&s, ", %v left", left.Round(time.Second))
	}
	return s.String()
}

// measured names what a phase's steps give.
func (r *trainReport) measured(e train.Event) string {
	if e.Phase == "scst" {
		return "reward"
	}
	return "loss"
}

// scores reports a measurement with a few captions.
func (r *trainReport) scores(e train.Event) {
	s := e.Scores
	best := ""
	if e.Best {
		best = ", the best so far"
	}
	if e.Phase == "final" {
		r.final = s
	}
	at := e.Phase
	if e.Steps > 0 {
		at += fmt.Sprintf(" %d/%d", e.Step, e.Steps)
	}
	r.p.term.log.Info(fmt.Sprintf("%s: CIDEr %.3f, BLEU-4 %.3f, ROUGE-L %.3f, val loss %.3f, %.1f %% of the captions differ%s", at, s["cider"],
		s["bleu4"], s["rouge_l"], s["val_loss"], 100*s["distinct_captions"], best))
	for _, x := range e.Samples[:min(3, len(e.Samples))] {
		r.p.term.log.Info("  " + visible(x.Path) + ": " + x.Caption)
	}
}

// result prints where the captioner is and what it scores.
func (r *trainReport) result(dir string) error {
	model := dir + "/best.safetensors"
	if r.p.common.JSON {
		return writeJSON(r.p.stdout, struct {
			Model   string             `json:"model"`
			Scores  map[string]float64 `json:"scores"`
			Seconds float64            `json:"seconds"`
		}{model, r.final, time.Since(r.start).Seconds()})
	}
	b, err := json.Marshal(r.final)
	if err != nil {
		return err
	}
	return r.p.printf("%s\t%s\n", model, b)
}

// commandLine is the command as the card tells it: every flag that was set, in the order of the help, without what changes nothing.
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
