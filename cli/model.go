package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"captioner/data/image"
	"captioner/models/captioner"
	"captioner/models/decode"
	"captioner/weights"
	"captioner/weights/store"
)

// model is what predict needs of a captioner; tests put a fake in its place.
type model interface {
	Name() string                  // for reports: "demo", or the file's path
	Device() string                // where it works: "cpu", "cuda:0"
	Checksum() (string, error)     // SHA-256 of the model file
	Defaults() decode.Options      // as the model file asks for, with its own BOS and EOS
	Positions() int                // tokens that prompt and caption may have together
	Encode(text string) []int32    // tokens of a text that captions begin with
	Prepare(*image.RGB) *image.RGB // the model's input of a picture; any number of goroutines may call it
	Caption(context.Context, []*image.RGB, decode.Options) ([]captioner.Caption, error)
	Times() captioner.Times // how long Caption has taken so far
	Close() error
}

type loader func(context.Context, modelOptions) (model, error)

// loaded is a real model.
type loaded struct {
	*captioner.Captioner
	path string
}

// openModel opens a model, and fetches first what is named and not here.
func openModel(ctx context.Context, p *console, load loader, o modelOptions) (model, error) {
	if err := findWeights(ctx, p, &o); err != nil {
		return nil, err
	}
	m, err := load(ctx, o)
	var missing *captioner.EncoderMissingError
	if errors.As(err, &missing) && o.Encoder == "" { // what Python or a fetch has left on this machine will do
		if s, _, failed := openStore(p, FetchOptions{}); failed == nil {
			if path, failed := s.Path(missing.Architecture); failed == nil {
				p.term.log.Debug("encoder taken from the cache", "encoder", missing.Architecture, "path", path)
				o.Encoder = path
				return load(ctx, o)
			}
		}
	}
	return m, err
}

// findWeights puts files in the place of the names of published weights.
func findWeights(ctx context.Context, p *console, o *modelOptions) error {
	for _, path := range []*string{&o.Path, &o.Encoder} {
		if err := findFile(ctx, p, path); err != nil {
			return err
		}
	}
	return nil
}

func loadModel(_ context.Context, o modelOptions) (model, error) {
	c, err := captioner.Open(o.Path, captioner.Options{Encoder: o.Encoder, NoEncoder: o.NoEncoder, Device: o.Device, Precision: o.precision(), Threads: o.Threads})
	if err != nil {
		return nil, modelHint(err, o)
	}
	return loaded{c, o.Path}, nil
}

func (l loaded) Name() string {
	if l.path == "" {
		return "demo"
	}
	return l.path
}

func (l loaded) Checksum() (string, error)  { return l.File.Checksum() }
func (l loaded) Positions() int             { return int(l.File.Config.Decoder.Positions) }
func (l loaded) Encode(text string) []int32 { return l.Tokenizer().Encode(text) }

// modelHint adds the remedy to what stopped a model from opening.
func modelHint(err error, o modelOptions) error {
	var key *weights.KeyError
	var blind *captioner.EncoderMissingError
	switch {
	case errors.As(err, &blind):
		return withHint(err, "%s", encoderHint(blind.Architecture))
	case errors.Is(err, fs.ErrNotExist) && o.Encoder != "" && !there(o.Encoder):
		return withHint(err, "check the spelling; \"captioner weights list\" has the names that --encoder takes")
	case o.Encoder != "" && strings.Contains(err.Error(), "encoder"):
		return withHint(err, "\"captioner weights inspect %s\" says what it is", o.Encoder)
	case errors.Is(err, fs.ErrNotExist):
		return withHint(err, "check the spelling; without --model the built-in model is used")
	case strings.Contains(err.Error(), "tokenizer: found none in the file"):
		return withHint(err, "the tokenizer that it was trained with writes these files by save_pretrained(FOLDER)")
	case strings.Contains(err.Error(), "want its tokenizer.pkl beside it"):
		return withHint(err, "Tokenizer.save of clip-text-decoder 1.0.0 writes it: copy it from where the checkpoint was trained")
	case strings.Contains(err.Error(), "device "):
		return withHint(err, "--device cpu works everywhere; \"captioner doctor\" says what is there")
	case errors.As(err, &key):
		return withHint(err, "\"captioner weights inspect %s\" lists what the file holds", o.Path)
	case o.Path != "":
		return withHint(err, "the file is damaged or not a captioner's: fetch or copy it again; \"captioner weights inspect %s\" says what it is", o.Path)
	}
	return withHint(err, "the program itself is damaged: build it again")
}

// searchHint adds the remedy to what stopped a search: of numbers that are none the model is to blame.
func searchHint(err error, m interface{ Name() string }) error {
	if errors.Is(err, decode.ErrNaN) {
		return withHint(err, "the model or its encoder is damaged: \"captioner weights verify %s\" looks for numbers that are not finite", m.Name())
	}
	return err
}

// there says whether a path leads to something.
func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// encoderHint says how to come by an encoder.
func encoderHint(architecture string) string {
	if _, err := store.Find(architecture); err == nil {
		return fmt.Sprintf("--encoder %s fetches it; --encoder FILE takes one that is here, in the form of OpenAI, OpenCLIP, LAVIS or Hugging Face", architecture)
	}
	return "--encoder FILE or NAME gives it; \"captioner weights list\" has the names"
}

// modelDecides is what of the options, beside the model file, decides what a model says.
func modelDecides(o *modelOptions) string {
	encoder := ""
	if info, err := os.Stat(o.Encoder); o.Encoder != "" && err == nil {
		encoder = fmt.Sprint(stampOf(info))
	}
	return strings.Join([]string{o.precision(), o.Encoder, encoder}, " ")
}
