package flags

import (
	"github.com/urfave/cli/v2"

	"captioner/cli/console"
	"captioner/models/checkpoint"
	"captioner/models/encoder"
)

// Activation is that of a CLIP, as encoder or for scores, whose files do not say it; "" is not given.
type Activation string

// Flag is the flag that sets a for the encoder.
func (a *Activation) Flag(category string) cli.Flag {
	return a.flag("encoder-activation", "a CLIP", category)
}

// CLIPFlag is the flag that sets a for the CLIP of --clip.
func (a *Activation) CLIPFlag(category string) cli.Flag {
	return a.flag("clip-activation", "the CLIP of --clip", category)
}

func (a *Activation) flag(name, of, category string) cli.Flag {
	return &cli.StringFlag{Name: name, Category: category, Destination: (*string)(a),
		Usage: "of " + of + " whose files do not say it: gelu (most of OpenCLIP's) or quick_gelu (OpenAI's)"}
}

// Validate checks the word of --encoder-activation.
func (a Activation) Validate() error { return a.validate("--encoder-activation") }

// ValidateCLIP checks the word of --clip-activation, which wants --clip.
func (a Activation) ValidateCLIP(clip string) error {
	if a != "" && clip == "" {
		return console.Usagef("", "--clip-activation needs --clip")
	}
	return a.validate("--clip-activation")
}

func (a Activation) validate(flag string) error {
	if a == "" {
		return nil
	}
	return console.OneOf(flag, string(a), encoder.Activations...)
}

// Architectures is what this program knows, with what h and a say of a checkpoint.
func (a Activation) Architectures(h Heads) (*checkpoint.Architectures, error) {
	if err := a.Validate(); err != nil {
		return nil, err
	}
	known, err := h.Architectures()
	if err == nil {
		known.Heads.Activation = string(a)
	}
	return known, err
}
