package beit

import (
	"encoding/json"
	"fmt"
	"math"

	"captioner/models/encoder"
	"captioner/torch/nn"
	"captioner/weights"
	"captioner/weights/mistakes"
	"captioner/weights/plural"
)

// Config is the shape of a network, in the names of Hugging Face's config.json where that has them.
type Config struct {
	PatchSize   int64   `json:"patch_size"`
	Width       int64   `json:"hidden_size"`
	Layers      int     `json:"num_hidden_layers"`
	Heads       int64   `json:"num_attention_heads"`
	MLP         int64   `json:"intermediate_size"`
	Grid        int64   `json:"grid,omitempty"` // rows of patches that tables and positions are for; 0: no such
	Positions   bool    `json:"use_absolute_position_embeddings,omitempty"`
	Shared      bool    `json:"use_shared_relative_position_bias,omitempty"` // a table for all layers
	Apart       bool    `json:"use_relative_position_bias,omitempty"`        // a table of each layer
	LayerScale  bool    `json:"layer_scale,omitempty"`
	MeanPooling bool    `json:"use_mean_pooling,omitempty"` // there is no norm behind the last block
	PoolNorm    bool    `json:"pool_norm,omitempty"`        // there is one of the mean of the patches
	Activation  string  `json:"hidden_act"`
	Epsilon     float64 `json:"layer_norm_eps"`
}

// activations are those of an MLP by the names of transformers.
var activations = map[string]nn.Activation{
	"gelu": nn.GELU, "gelu_new": nn.GELUTanh, "gelu_pytorch_tanh": nn.GELUTanh, "quick_gelu": nn.QuickGELU,
	"relu": nn.ReLU,
}

const (
	headSize = 64      // channels of a head in the published models
	maxGrid  = 1 << 12 // rows of patches
)

// distances is the rows of a table: one for each way from a patch to another, then from the class token to a patch,
// from a patch to it, and to itself.
func (c Config) distances() int64 { return ways(c.Grid) + 3 }

// ways is how many ways lead from one of rows x rows patches to another.
func ways(rows int64) int64 { return (2*rows - 1) * (2*rows - 1) }

// biased says whether the heads have a bias.
func (c Config) biased() bool { return c.Shared || c.Apart }

// Validate returns every problem at once.
func (c Config) Validate() error {
	var wrong mistakes.List
	wrong.Positive("patch_size", c.PatchSize)
	wrong.Positive("hidden_size", c.Width)
	wrong.Positive("num_hidden_layers", int64(c.Layers))
	wrong.Positive("intermediate_size", c.MLP)
	wrong.Divides("num_attention_heads", c.Heads, c.Width)
	placed := c.Positions || c.biased()
	wrong.Check(c.Grid >= 0 && c.Grid <= maxGrid && placed == (c.Grid > 0),
		"grid: found %s of patches, positions %v and tables %v, want 1 to %d rows where there are any",
		plural.Count(c.Grid, "row"), c.Positions, c.biased(), maxGrid)
	wrong.Check(!c.PoolNorm || c.MeanPooling, "pool_norm: found true without use_mean_pooling, want both or none")
	_, known := activations[c.Activation]
	wrong.Check(known, "hidden_act: found %q, want gelu, gelu_new, quick_gelu or relu", c.Activation)
	wrong.Share("layer_norm_eps", c.Epsilon)
	return wrong.Err("beit config")
}

// The tensors that say which parts a network has.
const (
	patchName    = "embeddings.patch_embeddings.projection.weight"
	positionName = "embeddings.position_embeddings"
	layerPrefix  = "encoder.layer."
	firstLayer   = layerPrefix + "0."
	queryBias    = firstLayer + "attention.attention.query.bias"
	keyBias      = firstLayer + "attention.attention.key.bias"
	tableSuffix  = "relative_position_bias.relative_position_bias_table"
	sharedTable  = "encoder." + tableSuffix
	firstTable   = firstLayer + "attention.attention." + tableSuffix
)

// ConfigOf reads the sizes from the weights themselves, in the keys of Keys. A table tells the heads; without one they
// are those of the published models of that width, and 0 where it is the width of none. Activation and epsilon, which
// no weight tells, are those of a BeitConfig.
func ConfigOf(src weights.Source) (Config, error) {
	shapes := weights.ShapesOf(src)
	patch := shapes.Of(patchName, 4) // [C, 3, p, p]
	c := Config{
		PatchSize: patch[3], Width: patch[0], Layers: shapes.Blocks(layerPrefix),
		MLP:       shapes.Of(firstLayer+"intermediate.dense.weight", 2)[0], // [inner, C]
		Positions: shapes.Has(positionName), Shared: shapes.Has(sharedTable), Apart: shapes.Has(firstTable),
		LayerScale: shapes.Has(firstLayer + "lambda_1"), MeanPooling: !shapes.Has("layernorm.weight"),
		PoolNorm: shapes.Has("pooler.layernorm.weight"), Activation: "gelu", Epsilon: 1e-12,
	}
	if c.Width%headSize == 0 {
		c.Heads = c.Width / headSize
	}
	if c.biased() {
		name := sharedTable
		if c.Apart {
			name = firstTable
		}
		table := shapes.Of(name, 2) // [(2G-1)²+3, H]
		c.Heads = table[1]
		c.Grid = (int64(math.Round(math.Sqrt(float64(max(table[0]-3, 0))))) + 1) / 2
		if c.Grid > 0 && c.distances() != table[0] {
			const want = "read a BEiT's sizes: tensor %q: %s, want those of a square of patches and 3 more"
			return Config{}, fmt.Errorf(want, name, plural.Count(table[0], "row"))
		}
	} else if c.Positions {
		c.Grid = shapes.GridSide(positionName, shapes.Of(positionName, 3)[1], 1)
	}
	if err := shapes.Err(); err != nil {
		return Config{}, fmt.Errorf("read a BEiT's sizes: %w", err)
	}
	known := c // whether any number of heads would do
	known.Heads = max(1, c.Heads)
	return c, known.Validate()
}

// settings is what Hugging Face's BeitConfig or Data2VecVisionConfig says.
type settings struct {
	Type       string          `json:"model_type"`
	Width      int64           `json:"hidden_size"`
	Layers     int64           `json:"num_hidden_layers"`
	Heads      int64           `json:"num_attention_heads"`
	MLP        int64           `json:"intermediate_size"`
	ImageSize  json.RawMessage `json:"image_size"`
	PatchSize  int64           `json:"patch_size"`
	Channels   int64           `json:"num_channels"`
	Positions  bool            `json:"use_absolute_position_embeddings"`
	Apart      bool            `json:"use_relative_position_bias"`
	Shared     bool            `json:"use_shared_relative_position_bias"`
	Scale      float64         `json:"layer_scale_init_value"`
	Mean       bool            `json:"use_mean_pooling"`
	Activation string          `json:"hidden_act"`
	Epsilon    float64         `json:"layer_norm_eps"`
}

// Configure takes from Hugging Face's BeitConfig or Data2VecVisionConfig what the weights do not tell and compares the
// rest with them. What the file leaves out is as the class has it. It gives the side of the images.
func (c *Config) Configure(config []byte) (side int64, err error) {
	s := settings{
		Type: modelTypes[0], Width: 768, Layers: 12, Heads: 12, MLP: 3072, PatchSize: 16, Channels: 3,
		Scale: 0.1, Mean: true, Activation: "gelu", Epsilon: 1e-12,
	}
	if err := json.Unmarshal(config, &s); err != nil {
		return 0, err
	}
	if side, err = encoder.SquareSide(s.ImageSize); err != nil {
		return 0, err
	}
	if err := s.agree(*c, side); err != nil {
		return 0, err
	}
	c.Heads, c.Activation, c.Epsilon = s.Heads, s.Activation, s.Epsilon
	return side, c.Validate()
}

// agree says which of the settings, with images of a side in pixels, is not found, that of the weights.
func (s settings) agree(found Config, side int64) error {
	sizes := encoder.Sizes{Width: &s.Width, Layers: &s.Layers, MLP: &s.MLP}
	if err := sizes.Agree(found.Width, int64(found.Layers), found.MLP, 0, 0); err != nil {
		return err
	}
	switch {
	case s.Type != modelTypes[0] && s.Type != modelTypes[1]:
		return fmt.Errorf("found model_type %q, want one of %q", s.Type, modelTypes)
	case s.Channels != 3:
		return fmt.Errorf("found num_channels %d, want 3", s.Channels)
	case s.PatchSize != found.PatchSize || side < s.PatchSize:
		const want = "found image_size %d and patch_size %d, want patches of the %d of the weights"
		return fmt.Errorf(want, side, s.PatchSize, found.PatchSize)
	case found.Grid > 0 && side/s.PatchSize != found.Grid:
		const want = "found image_size %d and patch_size %d, want the %d rows of patches of the weights"
		return fmt.Errorf(want, side, s.PatchSize, found.Grid)
	}
	for _, part := range []struct {
		name        string
		said, found bool
	}{
		{"use_absolute_position_embeddings", s.Positions, found.Positions},
		{"use_relative_position_bias", s.Apart, found.Apart},
		{"use_shared_relative_position_bias", s.Shared, found.Shared},
		{"use_mean_pooling", s.Mean, found.MeanPooling},
		{"layer_scale_init_value above 0", s.Scale > 0, found.LayerScale},
	} {
		if part.said != part.found {
			return fmt.Errorf("found %s %v, want the %v of the weights", part.name, part.said, part.found)
		}
	}
	return nil
}
