package family

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"captioner/models/decode"
	"captioner/models/encoder"
	"captioner/weights/mistakes"
)

// Config is everything about a captioner but its weights and its tokenizer: what a model file holds under
// weights.MetaConfig, as JSON.
type Config struct {
	Name     string
	Encoder  encoder.Config
	Memory   encoder.Memory
	Decoder  Decoder
	Decoding Decoding

	unresolved map[string]json.RawMessage // the decoder's sizes as they were read, by the key of their family
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
	Ends          []int32     `json:"ends,omitempty"`           // further ones
	Ban           [][]int32   `json:"ban,omitempty"`            // runs of tokens that never occur
	Repetition    float64     `json:"repetition_penalty,omitempty"`

	// Opening is a prompt of the model's own; see decode.Options.OpenWith.
	Opening string `json:"opening,omitempty"`

	// MaxLenOfAll and MinLenOfAll say that MaxLen and MinLen count a prompt that captions begin with.
	MaxLenOfAll bool `json:"max_len_of_all,omitempty"`
	MinLenOfAll bool `json:"min_len_of_all,omitempty"`

	Processors decode.Processors `json:"processors,omitzero"`
}

// Card is where a captioner comes from and what it is worth: what a model file holds under weights.MetaCard, as JSON.
type Card struct {
	Name      string             `json:"name"`
	Data      string             `json:"data"`
	Licence   string             `json:"licence"`
	Encoder   string             `json:"encoder"`          // origin, license and SHA-256 of the encoder's weights
	Command   string             `json:"command"`          // that trained it
	Origin    string             `json:"origin,omitempty"` // what it was converted from
	Options   json.RawMessage    `json:"options,omitempty"`
	Split     string             `json:"split,omitempty"`     // that Metrics were measured on
	Tokeniser string             `json:"tokeniser,omitempty"` // of the metrics
	Decoding  string             `json:"decoding,omitempty"`
	Seed      int64              `json:"seed"`
	Metrics   map[string]float64 `json:"metrics,omitempty"` // fractions
	Stages    []Stage            `json:"stages,omitempty"`
	// UncertainBelow is the confidence below which a caption is as likely wrong as right; 0: nobody has measured it.
	UncertainBelow float64 `json:"uncertain_below,omitempty"`

	Versions map[string]string `json:"versions,omitempty"`
}

// Stage is what one part of a training gave.
type Stage struct {
	Name    string             `json:"name"`
	Metrics map[string]float64 `json:"metrics"`
}

// UnknownCard is the card of a checkpoint that says nothing of its data and license.
func UnknownCard(name, encoder string) Card {
	const unknown = "not told by the checkpoint"
	return Card{Name: name, Data: unknown, Licence: unknown, Encoder: encoder}
}

// commoner is a Decoder that also writes, under "decoder", the sizes that it has in common with GPT-2: older programs
// look for them there.
type commoner interface{ Common() any }

// commonKey is where GPT-2's sizes stand.
const commonKey = "decoder"

// MarshalJSON writes the decoder's sizes under the key of their family.
func (c Config) MarshalJSON() ([]byte, error) {
	var common, own any
	key := ""
	if c.Decoder != nil {
		key, own = c.Decoder.Key(), c.Decoder
	}
	if key == commonKey {
		common, own = own, nil
	} else if d, ok := c.Decoder.(commoner); ok {
		common = d.Common()
	}
	return encoder.MarshalMembers(
		encoder.Member{Key: "name", Value: c.Name},
		encoder.Member{Key: "encoder", Value: c.Encoder},
		encoder.Member{Key: "memory", Value: c.Memory},
		encoder.Member{Key: commonKey, Value: common},
		encoder.Member{Key: "decoding", Value: c.Decoding},
		encoder.Member{Key: key, Value: own},
	)
}

// UnmarshalJSON reads a description. Its sizes are those of no family and no architecture yet: Resolve reads them.
func (c *Config) UnmarshalJSON(b []byte) error {
	var known struct {
		Name     string         `json:"name"`
		Encoder  encoder.Config `json:"encoder"`
		Memory   encoder.Memory `json:"memory"`
		Decoding Decoding       `json:"decoding"`
	}
	if err := json.Unmarshal(b, &known); err != nil {
		return err
	}
	all, err := encoder.ReadMembers(b)
	if err != nil {
		return err
	}
	*c = Config{
		Name:       known.Name,
		Encoder:    known.Encoder,
		Memory:     known.Memory,
		Decoding:   known.Decoding,
		unresolved: all,
	}
	return nil
}

// Resolve finds the family and the architecture of a description that was read from JSON, and reads their sizes. The
// first family that has a key there is the captioner's.
func (c *Config) Resolve(families []Family, encoders encoder.Table) error {
	if err := encoders.Resolve(&c.Encoder); err != nil {
		return err
	}
	for _, f := range families {
		sizes, ok := c.unresolved[f.Key]
		if !ok || f.Parse == nil {
			continue
		}
		d, err := f.Parse(sizes)
		if err != nil {
			return fmt.Errorf("%s: %w", f.Key, err)
		}
		c.Decoder = d
		break
	}
	c.unresolved = nil
	return nil
}

// Validate reports everything that does not fit, in one error.
func (c Config) Validate() error {
	err := c.Encoder.Validate()
	if err == nil {
		err = c.Memory.Fits(c.Encoder)
	}
	return errors.Join(err, c.ValidateDecoder())
}

// ValidateDecoder is Validate without the encoder, of which a checkpoint may say nothing.
func (c Config) ValidateDecoder() error {
	if c.Decoder == nil {
		return errors.New("decoder: found none that this version knows")
	}
	var wrong mistakes.List
	drop := c.Memory.Dropout
	wrong.Check(drop >= 0 && drop < 1, "memory: found dropout %g, want 0 to less than 1", drop)
	wrong.Add(c.Decoder.Validate(c.Memory, c.Encoder.Architecture))
	vocabulary, positions, _ := c.Decoder.Sizes()
	d := c.Decoding
	wrong.Check(d.Beam >= 1 && d.MaxLen >= 1 && int64(d.MaxLen) <= positions && !math.IsNaN(d.LengthPenalty),
		"decoding: found beam %d and max length %d, want 1 or more, and at most the decoder's %d positions", d.Beam,
		d.MaxLen, positions)
	for _, id := range []*int32{d.Begin, d.End} {
		if id != nil {
			wrong.Check(*id >= 0 && int64(*id) < vocabulary,
				"decoding: found the token %d as begin or end, want one of the vocabulary's %d", *id, vocabulary)
		}
	}
	if err := d.Processors.Check(vocabulary); err != nil {
		wrong.Add(fmt.Errorf("decoding: %w", err))
	}
	return errors.Join(wrong...)
}

// Mismatch says why a decoder does not fit its encoder.
func Mismatch(format string, args ...any) error {
	return fmt.Errorf("the decoder does not fit its encoder: "+format, args...)
}

// Padded reports features that do not go into the decoder's width with zeros behind them.
func Padded(m encoder.Memory, architecture string, width int64) error {
	if m.Kind != encoder.PooledPadded || m.In <= width {
		return nil
	}
	return Mismatch("%s gives an image %d numbers, want at most the decoder's width %d", architecture, m.In, width)
}
