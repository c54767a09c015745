package bert

import (
	"errors"
	"fmt"

	"captioner/torch/nn"
)

// Config is the shape of a model, in the names of Hugging Face's config.json.
type Config struct {
	VocabSize  int64   `json:"vocab_size"`
	Width      int64   `json:"hidden_size"`
	Layers     int     `json:"num_hidden_layers"`
	Heads      int64   `json:"num_attention_heads"`
	Inner      int64   `json:"intermediate_size"`
	Positions  int64   `json:"max_position_embeddings"` // the longest text, in tokens
	Activation string  `json:"hidden_act"`              // "gelu"
	Epsilon    float64 `json:"layer_norm_eps"`
	Memory     int64   `json:"encoder_hidden_size,omitempty"` // width of what cross-attention looks at; 0 without it
}

// Validate returns every problem at once.
func (c Config) Validate() error {
	var errs []error
	for _, f := range []struct {
		name string
		v    int64
	}{
		{"vocab_size", c.VocabSize}, {"hidden_size", c.Width}, {"num_hidden_layers", int64(c.Layers)},
		{"num_attention_heads", c.Heads}, {"intermediate_size", c.Inner}, {"max_position_embeddings", c.Positions},
	} {
		if f.v < 1 {
			errs = append(errs, fmt.Errorf("%s: found %d, want 1 or more", f.name, f.v))
		}
	}
	if c.Heads > 0 && c.Width%c.Heads != 0 {
		errs = append(errs, fmt.Errorf("hidden_size: found %d, want a multiple of num_attention_heads %d", c.Width, c.Heads))
	}
	if _, ok := activations[c.Activation]; !ok {
		errs = append(errs, fmt.Errorf("hidden_act: found %q, want gelu", c.Activation))
	}
	if !(c.Epsilon > 0) {
		errs = append(errs, fmt.Errorf("layer_norm_eps: found %g, want more than 0", c.Epsilon))
	}
	if c.Memory < 0 {
		errs = append(errs, fmt.Errorf("encoder_hidden_size: found %d, want 0 or more", c.Memory))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("text decoder: %w", err)
	}
	return nil
}

var activations = map[string]nn.Activation{"gelu": nn.GELU}

func (c Config) activation() nn.Activation { return activations[c.Activation] }

func (c Config) headSize() int64 { return c.Width / c.Heads }
