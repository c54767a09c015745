package bart

import (
	"encoding/json"
	"errors"
	"fmt"

	"captioner/models/bert"
	"captioner/weights"
	"captioner/weights/mistakes"
)

// Config is the shape of a model, in the names of Hugging Face's config.json.
type Config struct {
	VocabSize     int64  `json:"vocab_size"`
	Width         int64  `json:"d_model"`
	Positions     int64  `json:"max_position_embeddings"` // the longest text, in tokens, of either side
	EncoderLayers int    `json:"encoder_layers"`
	EncoderHeads  int64  `json:"encoder_attention_heads"`
	EncoderInner  int64  `json:"encoder_ffn_dim"`
	DecoderLayers int    `json:"decoder_layers"`
	DecoderHeads  int64  `json:"decoder_attention_heads"`
	DecoderInner  int64  `json:"decoder_ffn_dim"`
	Activation    string `json:"activation_function"` // "gelu"
	Scaled        bool   `json:"scale_embedding"`     // rows of tokens are multiplied by √d_model
	Untied        bool   `json:"untied,omitempty"`    // the output layer is not the table of tokens
}

// ParseConfig reads the text_config of a config.json. What it leaves out has the values of Hugging Face's BartConfig;
// settings that would change the network and that this package does not have are refused.
func ParseConfig(b []byte) (Config, error) {
	c := Config{
		VocabSize: 50265, Width: 1024, Positions: 1024, Activation: "gelu",
		EncoderLayers: 12, EncoderHeads: 16, EncoderInner: 4096,
		DecoderLayers: 12, DecoderHeads: 16, DecoderInner: 4096,
	}
	other := struct {
		Type      string `json:"model_type"`
		PreNorm   bool   `json:"normalize_before"`
		FinalNorm bool   `json:"add_final_layer_norm"`
		Static    bool   `json:"static_position_embeddings"`
		Tied      bool   `json:"tie_word_embeddings"`
	}{Type: "bart", Tied: true}
	if len(b) > 0 {
		for _, to := range []any{&c, &other} {
			if err := json.Unmarshal(b, to); err != nil {
				return c, fmt.Errorf("text_config: %w", err)
			}
		}
	}
	switch {
	case other.Type != "bart" && other.Type != "florence2_language":
		return c, fmt.Errorf("text_config: found model_type %q, want bart", other.Type)
	case other.PreNorm || other.FinalNorm || other.Static:
		const message = "text_config: found normalize_before, add_final_layer_norm or static_position_embeddings, want none"
		return c, errors.New(message)
	}
	c.Untied = !other.Tied
	return c, c.Validate()
}

// encoder is the shape of the side that reads, in the words of package bert, whose layers it has.
func (c Config) encoder() bert.Config {
	return bert.Config{
		VocabSize: c.VocabSize, Width: c.Width, Layers: c.EncoderLayers, Heads: c.EncoderHeads, Inner: c.EncoderInner,
		Positions: c.Positions, Activation: c.Activation, Epsilon: epsilon,
	}
}

// decoder is the shape of the side that writes.
func (c Config) decoder() bert.Config {
	return bert.Config{
		VocabSize: c.VocabSize, Width: c.Width, Layers: c.DecoderLayers, Heads: c.DecoderHeads, Inner: c.DecoderInner,
		Positions: c.Positions, Activation: c.Activation, Epsilon: epsilon, Memory: c.Width,
	}
}

// Validate returns every problem at once.
func (c Config) Validate() error {
	var wrong mistakes.List
	wrong.Positive("vocab_size", c.VocabSize)
	wrong.Positive("d_model", c.Width)
	wrong.Positive("max_position_embeddings", c.Positions)
	wrong.Positive("encoder_layers", int64(c.EncoderLayers))
	wrong.Positive("encoder_ffn_dim", c.EncoderInner)
	wrong.Positive("decoder_layers", int64(c.DecoderLayers))
	wrong.Positive("decoder_ffn_dim", c.DecoderInner)
	for _, heads := range []struct {
		name string
		n    int64
	}{{"encoder_attention_heads", c.EncoderHeads}, {"decoder_attention_heads", c.DecoderHeads}} {
		wrong.Check(heads.n >= 1 && c.Width%max(heads.n, 1) == 0, "%s: found %d, want a divisor of d_model %d", heads.name,
			heads.n, c.Width)
	}
	wrong.Check(c.Activation == "gelu", "activation_function: found %q, want gelu", c.Activation)
	return wrong.Err("text_config")
}

// Matches reports sizes that are not those of the weights, whose names begin with prefix, before memory is taken for
// them.
func (c Config) Matches(src weights.Source, prefix string) error {
	shapes := weights.ShapesOf(src)
	words := shapes.Of(prefix+"shared.weight", 2)
	positions := shapes.Of(prefix+"decoder.embed_positions.weight", 2)
	read := shapes.Of(prefix+"encoder.layers.0.fc1.weight", 2)
	write := shapes.Of(prefix+"decoder.layers.0.fc1.weight", 2)
	if err := shapes.Err(); err != nil {
		return fmt.Errorf("read BART's sizes: %w", err)
	}
	for _, s := range []struct {
		name        string
		said, found int64
	}{
		{"vocab_size", c.VocabSize, words[0]},
		{"d_model", c.Width, words[1]},
		{"max_position_embeddings", c.Positions, positions[0] - offset},
		{"encoder_layers", int64(c.EncoderLayers), int64(shapes.Blocks(prefix + "encoder.layers."))},
		{"decoder_layers", int64(c.DecoderLayers), int64(shapes.Blocks(prefix + "decoder.layers."))},
		{"encoder_ffn_dim", c.EncoderInner, read[0]},
		{"decoder_ffn_dim", c.DecoderInner, write[0]},
	} {
		if s.said != s.found {
			return fmt.Errorf("text_config: found %s %d, want the %d of the weights", s.name, s.said, s.found)
		}
	}
	return nil
}
