package bert

import (
	"fmt"
	"slices"

	"captioner/torch/nn"
	"captioner/weights"
	"captioner/weights/mistakes"
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
	var wrong mistakes.List
	wrong.Positive("vocab_size", c.VocabSize)
	wrong.Positive("hidden_size", c.Width)
	wrong.Positive("num_hidden_layers", int64(c.Layers))
	wrong.Positive("num_attention_heads", c.Heads)
	wrong.Positive("intermediate_size", c.Inner)
	wrong.Positive("max_position_embeddings", c.Positions)
	wrong.Check(c.Width%max(c.Heads, 1) == 0, "hidden_size: found %d, want a multiple of num_attention_heads %d", c.Width,
		c.Heads)
	_, known := activations[c.Activation]
	wrong.Check(known, "hidden_act: found %q, want gelu", c.Activation)
	wrong.Check(c.Epsilon > 0, "layer_norm_eps: found %g, want more than 0", c.Epsilon)
	wrong.AtLeast(0, "encoder_hidden_size", c.Memory)
	return wrong.Err("text decoder")
}

var activations = map[string]nn.Activation{"gelu": nn.GELU}

func (c Config) activation() nn.Activation { return activations[c.Activation] }

// HeadCount is the number of heads, and the channels that they share.
func (c Config) HeadCount() (heads, width int64) { return c.Heads, c.Width }

func (c Config) headSize() int64 { return c.Width / c.Heads }

// headSize is the channels of a head in every published model.
const headSize = 64

// ConfigOf reads the sizes from the weights themselves, whose names begin with prefix. The activation is GELU and the
// epsilon 1e-12, which no weight tells. Nor does one tell the heads: they are of 64 channels, and 0 where that does not
// divide the width.
func ConfigOf(src weights.Source, prefix string) (Config, error) {
	c := Config{Activation: "gelu", Epsilon: 1e-12}
	names := src.Names()
	for _, s := range []struct {
		name          string
		first, second *int64
		optional      bool
	}{
		{"embeddings.word_embeddings.weight", &c.VocabSize, &c.Width, false},
		{"embeddings.position_embeddings.weight", &c.Positions, new(int64), false},
		{"encoder.layer.0.intermediate.dense.weight", &c.Inner, new(int64), false},
		{"encoder.layer.0.crossattention.self.key.weight", new(int64), &c.Memory, true},
	} {
		if s.optional && !slices.Contains(names, prefix+s.name) {
			continue
		}
		t, err := src.Tensor(prefix + s.name)
		if err == nil && len(t.Shape) != 2 {
			err = fmt.Errorf("tensor %q: shape %v, want 2 dimensions", t.Name, t.Shape)
		}
		if err != nil {
			return Config{}, fmt.Errorf("read the text decoder's sizes: %w", err)
		}
		*s.first, *s.second = t.Shape[0], t.Shape[1]
	}
	for slices.Contains(names, fmt.Sprintf("%sencoder.layer.%d.output.dense.weight", prefix, c.Layers)) {
		c.Layers++
	}
	if c.Width%headSize == 0 {
		c.Heads = c.Width / headSize
	}
	known := c // whether any number of heads would do
	known.Heads = max(1, c.Heads)
	return c, known.Validate()
}

// Matches reports sizes that are not those of the weights, before memory is taken for them.
func (c Config) Matches(src weights.Source, prefix string) error {
	found, err := ConfigOf(src, prefix)
	if err != nil {
		return err
	}
	for _, s := range []struct {
		name        string
		said, found int64
	}{
		{"tokens", c.VocabSize, found.VocabSize},
		{"channels", c.Width, found.Width},
		{"layers", int64(c.Layers), int64(found.Layers)},
		{"channels inside a layer", c.Inner, found.Inner},
		{"positions", c.Positions, found.Positions},
		{"channels of the memory", c.Memory, found.Memory},
	} {
		if s.said != s.found {
			return fmt.Errorf("found a description of %d %s, want the %d of the weights", s.said, s.name, s.found)
		}
	}
	return nil
}
