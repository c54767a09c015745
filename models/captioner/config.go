package captioner

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"captioner/models/decode"
	"captioner/models/encoder"
	"captioner/models/gpt2"
	"captioner/models/transformer"
)

// Config is everything about a captioner but its weights and its words: what a model file holds under weights.MetaConfig, as JSON.
type Config struct {
	Name     string         `json:"name"`
	Encoder  encoder.Config `json:"encoder"`
	Memory   encoder.Memory `json:"memory"`
	Decoder  gpt2.Config    `json:"decoder"`
	Decoding Decoding       `json:"decoding"`

	// Transformer is the decoder of a captioner of clip-text-decoder 1.0.0, nil for all others: Decoder is then as firstSizes says.
	Transformer *transformer.Config `json:"transformer,omitempty"`
}

// Decoding is how this captioner is meant to be decoded where the user does not say otherwise.
type Decoding struct {
	Rule          decode.Rule `json:"rule,omitempty"`
	Beam          int         `json:"beam"`
	LengthPenalty float64     `json:"length_penalty"`
	MaxLen        int         `json:"max_len"`
	NoRepeatNGram int         `json:"no_repeat_ngram"`
	MinLen        int         `json:"min_len,omitempty"`
	EarlyStopping string      `json:"early_stopping,omitempty"` // see decode.Options
	Begin         *int32      `json:"begin,omitempty"`          // the first token that is fed; nil is the tokenizer's
	End           *int32      `json:"end,omitempty"`            // the token that ends a caption; nil is the tokenizer's
}

// Card is where a captioner comes from and what it is worth: what a model file holds under weights.MetaCard, as JSON.
type Card struct {
	Name      string             `json:"name"`
	Data      string             `json:"data"`
	Licence   string             `json:"licence"`
	Encoder   string             `json:"encoder"`          // origin, licence and SHA-256 of the encoder's weights
	Command   string             `json:"command"`          // that trained it
	Origin    string             `json:"origin,omitempty"` // what it was converted from
	Options   json.RawMessage    `json:"options,omitempty"`
	Split     string             `json:"split,omitempty"`     // that Metrics were measured on
	Tokeniser string             `json:"tokeniser,omitempty"` // of the metrics
	Decoding  string             `json:"decoding,omitempty"`
	Seed      int64              `json:"seed"`
	Metrics   map[string]float64 `json:"metrics,omitempty"` // fractions
	Stages    []Stage            `json:"stages,omitempty"`
	Versions  map[string]string  `json:"versions,omitempty"`
}

// Stage is what one part of a training gave.
type Stage struct {
	Name    string             `json:"name"`
	Metrics map[string]float64 `json:"metrics"`
}

// Validate reports everything that does not fit, in one error.
func (c Config) Validate() error {
	eye := c.Encoder.Validate()
	if eye == nil {
		eye = c.Memory.Fits(c.Encoder)
	}
	return errors.Join(eye, c.validateModel())
}

// validateModel is Validate without the encoder, of which a checkpoint may say nothing.
func (c Config) validateModel() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if d := c.Memory.Dropout; !(d >= 0 && d < 1) {
		bad("memory: found dropout %g, want 0 to less than 1", d)
	}
	if m := c.Memory; m.Layers < 0 || m.Layers > 64 || m.Layers > 0 && (m.Heads < 1 || c.Decoder.Width%m.Heads != 0) {
		bad("memory: found %d layers of %d heads, want 0 to 64 layers, and heads that divide the decoder's width %d", m.Layers, m.Heads, c.Decoder.Width)
	}
	if c.Memory.Kind == encoder.PooledPadded && c.Memory.In > c.Decoder.Width {
		bad("the decoder does not fit its encoder: %s gives a picture %d numbers, want at most the decoder's width %d", c.Encoder.Architecture,
			c.Memory.In, c.Decoder.Width)
	}
	if err := c.validateFirst(); err != nil {
		errs = append(errs, err)
	}
	if err := c.Decoder.Validate(); err != nil {
		errs = append(errs, err)
	} else if !c.Decoder.CrossAttention {
		bad("decoder: found no cross-attention, want add_cross_attention")
	}
	if d := c.Decoding; d.Beam < 1 || d.MaxLen < 1 || int64(d.MaxLen) > c.Decoder.Positions || math.IsNaN(d.LengthPenalty) {
		bad("decoding: found beam %d and max length %d, want 1 or more, and at most the decoder's %d positions", d.Beam, d.MaxLen,
			c.Decoder.Positions)
	}
	for _, id := range []*int32{c.Decoding.Begin, c.Decoding.End} {
		if id != nil && (*id < 0 || int64(*id) >= c.Decoder.VocabSize) {
			bad("decoding: found the token %d as begin or end, want one of the vocabulary's %d", *id, c.Decoder.VocabSize)
		}
	}
	return errors.Join(errs...)
}
