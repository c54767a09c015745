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
