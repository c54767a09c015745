package swin

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"captioner/models/encoder"
	"captioner/torch"
	"captioner/weights"
	"captioner/weights/mistakes"
)

// Config is the shape of a network, in the names of Hugging Face's config.json.
type Config struct {
	PatchSize  int64   `json:"patch_size"`
	Width      int64   `json:"embed_dim"`   // channels of the first stage; each other has twice as many as the one before
	Depths     []int   `json:"depths"`      // blocks of each stage
	Heads      []int64 `json:"num_heads"`   // of each stage
	Window     int64   `json:"window_size"` // positions of a window's side
	MLP        float64 `json:"mlp_ratio"`   // how many times wider a block is inside
	QKVBias    bool    `json:"qkv_bias"`
	Activation string  `json:"hidden_act"`
	Epsilon    float64 `json:"layer_norm_eps"`
}

// Tiny is the published Swin-T, whose settings stand where a config.json says nothing.
func Tiny() Config {
	return Config{
		PatchSize: 4, Width: 96, Depths: []int{2, 2, 6, 2}, Heads: []int64{3, 6, 12, 24}, Window: 7, MLP: 4, QKVBias: true,
		Activation: "gelu", Epsilon: 1e-5,
	}
}

// activations are those of an MLP by the names of transformers.
var activations = map[string]torch.Activation{
	"gelu": torch.GELUErf, "gelu_new": torch.GELUTanh, "gelu_pytorch_tanh": torch.GELUTanh,
	"relu": torch.ReLU, "silu": torch.SiLU, "swish": torch.SiLU,
}

// maxStages bounds the stages: the width doubles with each.
const maxStages = 16

// width is the channels of a stage.
func (c Config) width(stage int) int64 { return c.Width << stage }

// inner is the channels inside the layers of a stage.
func (c Config) inner(stage int) int64 { return int64(c.MLP * float64(c.width(stage))) }

// mapSide is the side of a stage's maps, for square images of a side in pixels.
func (c Config) mapSide(stage int, side int64) int64 {
	side = over(side, c.PatchSize)
	for range stage {
		side = over(side, 2)
	}
	return side
}

// over is how many of a size it takes to hold n.
func over(n, size int64) int64 { return (n + size - 1) / size }

// holds says why square images of a side in pixels have no windows.
func (c Config) holds(side int64) error {
	for i := range c.Depths {
		if have := c.mapSide(i, side); have < c.Window {
			const message = "found images of %d pixels, whose map in stage %d has %d positions a side, " +
				"want at least the %d of a window"
			return fmt.Errorf(message, side, i+1, have, c.Window)
		}
	}
	return nil
}

// Validate returns every problem at once.
func (c Config) Validate() error {
	var wrong mistakes.List
	n := len(c.Depths)
	wrong.Check(n > 0 && n <= maxStages && n == len(c.Heads),
		"depths and num_heads: found %d and %d stages, want the same number of 1 to %d", n, len(c.Heads), maxStages)
	wrong.Check(c.Width >= 1 && c.Width <= 1<<20 && c.PatchSize >= 1 && c.Window >= 1 && c.Window <= 1<<10,
		"embed_dim, patch_size and window_size: found %d, %d and %d, want 1 or more", c.Width, c.PatchSize, c.Window)
	wrong.Check(c.MLP > 0 && c.MLP < 1024, "mlp_ratio: found %g, want more than 0", c.MLP)
	wrong.Share("layer_norm_eps", c.Epsilon)
	_, known := activations[c.Activation]
	wrong.Check(known, "hidden_act: found %q, want gelu, gelu_new, relu or silu", c.Activation)
	if len(wrong) == 0 { // else the stages cannot be looked at
		for i := range c.Depths {
			wrong.Check(c.Depths[i] >= 1 && c.Heads[i] >= 1 && c.width(i)%max(c.Heads[i], 1) == 0,
				"stage %d: found depth %d and %d heads, want 1 or more and a divisor of its %d channels",
				i, c.Depths[i], c.Heads[i], c.width(i))
		}
	}
	return wrong.Err("swin config")
}

// ConfigOf reads the sizes from the weights themselves, in the keys of Keys. Activation and epsilon, which no weight
// tells, are Tiny's.
func ConfigOf(src weights.Source) (Config, error) {
	shapes := weights.ShapesOf(src)
	c := Tiny()
	patch := shapes.Of("embeddings.patch_embeddings.projection.weight", 4) // [C, 3, p, p]
	c.Width, c.PatchSize, c.Depths, c.Heads = patch[0], patch[3], nil, nil
	for i := range shapes.Blocks("encoder.layers.") {
		blocks := fmt.Sprintf("encoder.layers.%d.blocks.", i)
		apart := shapes.Of(blocks+"0.attention.self.relative_position_bias_table", 2) // [(2S-1)², heads]
		c.Depths, c.Heads = append(c.Depths, shapes.Blocks(blocks)), append(c.Heads, apart[1])
		c.Window = (int64(math.Round(math.Sqrt(float64(apart[0])))) + 1) / 2
	}
	inner := shapes.Of("encoder.layers.0.blocks.0.intermediate.dense.weight", 2) // [inner, C]
	c.QKVBias = shapes.Has("encoder.layers.0.blocks.0.attention.self.query.bias")
	if err := shapes.Err(); err != nil {
		return Config{}, fmt.Errorf("read a Swin's sizes: %w", err)
	}
	if inner[1] > 0 {
		c.MLP = float64(inner[0]) / float64(inner[1])
	}
	return c, c.Validate()
}

// Configure takes from Hugging Face's SwinConfig what the weights do not tell and compares the rest with them. It gives
// the side of the images.
func (c *Config) Configure(config []byte) (side int64, err error) {
	other := struct {
		Type      string          `json:"model_type"`
		Channels  int64           `json:"num_channels"`
		Image     json.RawMessage `json:"image_size"`
		Positions bool            `json:"use_absolute_embeddings"`
	}{Type: "swin", Channels: 3}
	said := Tiny()
	said.Depths, said.Heads = nil, nil // JSON would write into their arrays
	for _, to := range []any{&said, &other} {
		if err := json.Unmarshal(config, to); err != nil {
			return 0, err
		}
	}
	if said.Depths == nil {
		said.Depths = Tiny().Depths
	}
	if said.Heads == nil {
		said.Heads = Tiny().Heads
	}
	switch {
	case other.Type != "swin":
		return 0, fmt.Errorf("found model_type %q, want swin", other.Type)
	case other.Channels != 3:
		return 0, fmt.Errorf("found num_channels %d, want 3", other.Channels)
	case other.Positions:
		return 0, errors.New("found use_absolute_embeddings true, want false: the SwinModel of transformers cannot run it")
	}
	if err := said.agree(*c); err != nil {
		return 0, err
	}
	*c = said
	side, err = encoder.SquareSide(other.Image)
	return side, errors.Join(err, c.Validate())
}

// agree says which of the sizes is not found, that of the weights.
func (c Config) agree(found Config) error {
	for _, s := range []struct {
		name        string
		said, found any
		same        bool
	}{
		{"patch_size", c.PatchSize, found.PatchSize, c.PatchSize == found.PatchSize},
		{"embed_dim", c.Width, found.Width, c.Width == found.Width},
		{"depths", c.Depths, found.Depths, slices.Equal(c.Depths, found.Depths)},
		{"num_heads", c.Heads, found.Heads, slices.Equal(c.Heads, found.Heads)},
		{"window_size", c.Window, found.Window, c.Window == found.Window},
		{"qkv_bias", c.QKVBias, found.QKVBias, c.QKVBias == found.QKVBias},
		{"mlp_ratio", c.MLP, found.MLP, c.inner(0) == found.inner(0)},
	} {
		if !s.same {
			return fmt.Errorf("found %s %v, want the %v of the weights", s.name, s.said, s.found)
		}
	}
	return nil
}
