package gpt2

import (
	"encoding/json"
	"errors"
	"fmt"

	"captioner/weights/mistakes"
)

// Config is the shape of a model, in the names of Hugging Face's config.json.
type Config struct {
	VocabSize      int64   `json:"vocab_size"`
	Positions      int64   `json:"n_positions"` // the longest text, in tokens
	Width          int64   `json:"n_embd"`
	Layers         int     `json:"n_layer"`
	Heads          int64   `json:"n_head"`
	Inner          int64   `json:"n_inner"`             // width inside the MLP; 0 or null: 4 n_embd
	Activation     string  `json:"activation_function"` // "gelu_new" (the tanh form) or "gelu"
	Epsilon        float64 `json:"layer_norm_epsilon"`
	ResidualDrop   float64 `json:"resid_pdrop"` // dropout of what each part adds to the residual stream
	EmbeddingDrop  float64 `json:"embd_pdrop"`
	AttentionDrop  float64 `json:"attn_pdrop"`
	InitRange      float64 `json:"initializer_range"` // standard deviation of new weights
	CrossAttention bool    `json:"add_cross_attention"`
}

// published are OpenAI's models and distilgpt2, by the names of Hugging Face.
var published = []struct {
	name   string
	config func() Config
}{
	{"distilgpt2", DistilGPT2},
	{"gpt2", GPT2},
	{"gpt2-medium", GPT2Medium},
	{"gpt2-large", GPT2Large},
	{"gpt2-xl", GPT2XL},
}

// PublishedName is the published model that has the sizes of c; "" where there is none.
func (c Config) PublishedName() string {
	for _, p := range published {
		k := p.config()
		if c.Layers == k.Layers && c.Width == k.Width && c.Heads == k.Heads && c.VocabSize == k.VocabSize &&
			c.Positions == k.Positions {
			return p.name
		}
	}
	return ""
}

// GPT2 is the smallest published GPT-2 (124M parameters), without cross-attention.
func GPT2() Config {
	return Config{
		VocabSize:     50257,
		Positions:     1024,
		Width:         768,
		Layers:        12,
		Heads:         12,
		Activation:    "gelu_new",
		Epsilon:       1e-5,
		ResidualDrop:  0.1,
		EmbeddingDrop: 0.1,
		AttentionDrop: 0.1,
		InitRange:     0.02,
	}
}

// DistilGPT2 is distilgpt2 (82M parameters): GPT2 with six layers.
func DistilGPT2() Config {
	c := GPT2()
	c.Layers = 6
	return c
}

// GPT2Medium is gpt2-medium (355M parameters).
func GPT2Medium() Config { return sized(24, 1024) }

// GPT2Large is gpt2-large (774M parameters).
func GPT2Large() Config { return sized(36, 1280) }

// GPT2XL is gpt2-xl (1558M parameters).
func GPT2XL() Config { return sized(48, 1600) }

func sized(layers int, width int64) Config {
	c := GPT2()
	c.Layers, c.Width, c.Heads = layers, width, width/HeadSize
	return c
}

// ParseConfig reads a config.json. Fields that it leaves out have GPT2's values, as they do in Hugging Face's library;
// settings that would change the network and that this package does not have are refused.
func ParseConfig(b []byte) (Config, error) {
	c := GPT2()
	if err := json.Unmarshal(b, &c); err != nil {
		return c, fmt.Errorf("gpt2 config: %w", err)
	}
	other := struct {
		ScaleWeights bool `json:"scale_attn_weights"`
		ScaleByLayer bool `json:"scale_attn_by_inverse_layer_idx"`
		Tied         bool `json:"tie_word_embeddings"`
	}{ScaleWeights: true, Tied: true}
	if err := json.Unmarshal(b, &other); err != nil {
		return c, fmt.Errorf("gpt2 config: %w", err)
	}
	switch {
	case !other.ScaleWeights:
		return c, errors.New("gpt2 config: scale_attn_weights is false, want true")
	case other.ScaleByLayer:
		return c, errors.New("gpt2 config: scale_attn_by_inverse_layer_idx is true, want false")
	case !other.Tied:
		return c, errors.New("gpt2 config: tie_word_embeddings is false, want true")
	}
	return c, c.Validate()
}

// Validate returns every problem at once.
func (c Config) Validate() error {
	var wrong mistakes.List
	wrong.Positive("vocab_size", c.VocabSize)
	wrong.Positive("n_positions", c.Positions)
	wrong.Positive("n_embd", c.Width)
	wrong.Positive("n_layer", int64(c.Layers))
	wrong.Positive("n_head", c.Heads)
	wrong.Check(c.Width%max(c.Heads, 1) == 0, "n_embd: found %d, want a multiple of n_head %d", c.Width, c.Heads)
	wrong.AtLeast(0, "n_inner", c.Inner)
	wrong.Check(c.Activation == "gelu_new" || c.Activation == "gelu",
		"activation_function: found %q, want %q or %q", c.Activation, "gelu_new", "gelu")
	wrong.Check(c.Epsilon > 0, "layer_norm_epsilon: found %g, want more than 0", c.Epsilon)
	wrong.Share("resid_pdrop", c.ResidualDrop)
	wrong.Share("embd_pdrop", c.EmbeddingDrop)
	wrong.Share("attn_pdrop", c.AttentionDrop)
	wrong.Check(c.InitRange >= 0, "initializer_range: found %g, want 0 or more", c.InitRange)
	return wrong.Err("gpt2 config")
}

// InnerWidth is the channels between the two layers of an MLP.
func (c Config) InnerWidth() int64 {
	if c.Inner == 0 {
		return 4 * c.Width
	}
	return c.Inner
}

// HeadCount is the number of heads, and the channels that they share.
func (c Config) HeadCount() (heads, width int64) { return c.Heads, c.Width }

func (c Config) headSize() int64 { return c.Width / c.Heads }
