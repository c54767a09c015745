package flags

import (
	"github.com/urfave/cli/v2"

	"captioner/cli/console"
	"captioner/models/checkpoint"
	"captioner/models/encoder"
)

// Activation is that of a CLIP as encoder whose files do not say it; "" is not given.
type Activation string

// Flag is the flag that sets a.
func (a *Activation) Flag(category string) cli.Flag {
	return &cli.StringFlag{Name: "encoder-activation",
		Usage: "of a CLIP whose files do not say it: gelu (most of OpenCLIP's) or quick_gelu (OpenAI's)", Category: category,
		Destination: (*string)(a)}
}

// Validate checks the word.
func (a Activation) Validate() error {
	if a == "" {
		return nil
	}
	return console.OneOf("--encoder-activation", string(a), encoder.Activations...)
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
