// Package model opens the captioner that the flags name, for the commands that caption.
package model

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"captioner/cli/console"
	"captioner/cli/flags"
	"captioner/cli/input"
	"captioner/cli/published"
	"captioner/data/image"
	"captioner/models/captioner"
	"captioner/models/checkpoint"
	"captioner/models/decode"
	"captioner/models/encoder"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/torch/nn/measure"
	"captioner/weights/store"
)

// Model is what predict needs of a captioner; tests put a fake in its place.
type Model interface {
	Name() string                  // for reports: "demo", or the file's path
	Device() string                // where it works: "cpu", "cuda:0"
	Checksum() (string, error)     // SHA-256 of the model file
	Defaults() decode.Options      // as the model file asks for, with its own BOS and EOS
	UncertainBelow() float64       // confidence below which a caption is as likely wrong as right; 0: not known
	Positions() int                // tokens that prompt and caption may have together
	Encode(text string) []int32    // tokens of a text that captions begin with
	Prepare(*image.RGB) *image.RGB // the model's input of an image; any number of goroutines may call it
	Caption(context.Context, []*image.RGB, decode.Options) ([]captioner.Caption, error)
	Times() captioner.Times // how long Caption has taken so far
	Close() error
}

// Loader opens a model. Tests put a fake in the place of Load.
type Loader func(context.Context, flags.Model) (Model, error)

// loaded is a real model.
type loaded struct {
	*captioner.Captioner
	path    string
	kernels nn.Kernels
}

// Open opens a model, and fetches first what is named and not here.
func Open(ctx context.Context, con *console.Console, load Loader, o flags.Model) (Model, error) {
	if err := FindWeights(ctx, con, &o); err != nil {
		return nil, err
	}
	o.Notice = func(s string) { con.Term.Log.Warn(s) }
	o.Detail = func(s string) { con.Term.Log.Debug(s) }
	m, err := load(ctx, o)
	if l, ok := m.(loaded); ok && l.Device() == torch.CPU.String() {
		con.Term.Log.Debug("kernels", "chosen", l.kernels.String(), "threads", torch.Threads())
	}
	var missing *checkpoint.EncoderMissingError
	if errors.As(err, &missing) && o.Encoder == "" { // what Python or a fetch has left on this machine will do
		if s, _, failed := published.Open(con, published.Options{}); failed == nil {
			if path, failed := s.Path(missing.Architecture); failed == nil {
				con.Term.Log.Debug("encoder taken from the cache", "encoder", missing.Architecture, "path", path)
				o.Encoder = path
				return load(ctx, o)
			}
		}
	}
	return m, err
}

// Kernels are the kernels that the flags name: by default those that are measured to be the quickest here.
func Kernels(o *flags.Model) (nn.Kernels, error) {
	if k, err := o.FixedKernels(); k != nil || err != nil {
		return k, err
	}
	return Measured(), nil
}

// Measured is the table of what was measured on this machine. It stays in the user's cache folder, where there is one.
func Measured() *measure.Table {
	folder, err := os.UserCacheDir()
	if err != nil {
		return measure.Open("", console.Version)
	}
	return measure.Open(filepath.Join(folder, "captioner"), console.Version)
}

// FindWeights puts files in the place of the names of published weights.
func FindWeights(ctx context.Context, con *console.Console, o *flags.Model) error {
	if published.BuiltIn(o.Path) {
		o.Path = ""
	}
	if o.Path == "" && published.BuiltIn(o.Encoder) { // its own
		o.Encoder = ""
	}
	if err := published.Find(ctx, con, checkpoint.AsCaptioner, &o.Path); err != nil {
		return err
	}
	return published.Find(ctx, con, checkpoint.AsEncoder, &o.Encoder)
}

// Load opens a model of this machine; nothing is fetched.
func Load(_ context.Context, o flags.Model) (Model, error) {
	known, err := o.Activation.Architectures(o.Heads)
	if err != nil {
		return nil, err
	}
	kernels, err := Kernels(&o)
	if err != nil {
		return nil, err
	}
	c, err := captioner.Open(o.Path, captioner.Options{Encoder: o.Encoder, NoEncoder: o.NoEncoder, Device: o.Device,
		Precision: o.NumberType(), Threads: o.Threads, Architectures: known, Notice: o.Notice, Detail: o.Detail,
		Kernels: kernels, Graphs: o.Graphs})
	if err != nil {
		return nil, ModelHint(err)
	}
	if err := known.Heads.Unused(encoder.EncoderPart, encoder.DecoderPart); err != nil {
		c.Close()
		return nil, err
	}
	return loaded{c, o.Path, kernels}, nil
}

func (l loaded) Name() string {
	if l.path == "" {
		return "demo"
	}
	return l.path
}

func (l loaded) Checksum() (string, error)  { return l.File.Checksum() }
func (l loaded) Encode(text string) []int32 { return l.Tokenizer().Encode(text) }

// ModelHint adds the remedy to what stopped a model from opening.
func ModelHint(err error) error {
	var blind *checkpoint.EncoderMissingError
	if errors.As(err, &blind) {
		return console.WithHint(err, "%s", encoderHint(blind.Architecture))
	}
	return err // its type knows the remedy
}

// SearchHint adds the remedy to what stopped a search: of numbers that are none the model is to blame.
func SearchHint(err error, m interface{ Name() string }) error {
	if errors.Is(err, decode.ErrNaN) {
		return console.WithHint(err,
			"the model or its encoder is damaged: \"captioner weights verify %s\" looks for numbers that are not "+
				"finite", m.Name())
	}
	return err
}

// encoderHint says how to come by an encoder.
func encoderHint(architecture string) string {
	if _, err := store.Find(architecture); err == nil {
		return fmt.Sprintf("--encoder %s fetches it; --encoder FILE takes one that is here, in the form of OpenAI, "+
			"OpenCLIP, LAVIS or Hugging Face", architecture)
	}
	return "--encoder FILE or NAME gives it; \"captioner weights list\" has the names"
}

// Decides is what of the options, beside the model file, decides what a model says.
func Decides(o *flags.Model) string {
	stamp := ""
	if info, err := os.Stat(o.Encoder); o.Encoder != "" && err == nil {
		stamp = fmt.Sprint(input.StampOf(info))
	}
	parts := []string{o.NumberType(), o.Encoder, stamp}
	if o.Heads != "" {
		parts = append(parts, "heads", string(o.Heads))
	}
	if o.Activation != "" {
		parts = append(parts, string(o.Activation))
	}
	return strings.Join(parts, " ")
}

// Doubt warns of what was assumed of an encoder for want of a word in its files.
func Doubt(con *console.Console, e encoder.Config) {
	if doubt := e.Doubt(encoder.EncoderPart); doubt != "" {
		con.Term.Log.Warn(doubt)
	}
}
