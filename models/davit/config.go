package davit

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"

	"captioner/weights"
	"captioner/weights/mistakes"
)

// Config is the shape of a network, in the names of Hugging Face's config.json. Each list has an entry a stage.
type Config struct {
	Widths   []int64 `json:"embed_dim"` // channels
	Depths   []int   `json:"depths"`    // blocks
	Heads    []int64 `json:"num_heads"` // of attention in a window
	Groups   []int64 `json:"num_groups"`
	Kernels  []int64 `json:"patch_size"` // of the convolution that begins the stage
	Strides  []int64 `json:"patch_stride"`
	Paddings []int64 `json:"patch_padding"`
	PreNorms []bool  `json:"patch_prenorm"` // whether the norm stands before that convolution
	Window   int64   `json:"window_size"`   // positions of a window's side
	MLP      float64 `json:"mlp_ratio"`     // how many times wider a block is inside
	QKVBias  bool    `json:"qkv_bias"`
}

// Base is the encoder of the published Florence-2 base.
func Base() Config {
	return Config{
		Widths:   []int64{128, 256, 512, 1024},
		Depths:   []int{1, 1, 9, 1},
		Heads:    []int64{4, 8, 16, 32},
		Groups:   []int64{4, 8, 16, 32},
		Kernels:  []int64{7, 3, 3, 3},
		Strides:  []int64{4, 2, 2, 2},
		Paddings: []int64{3, 1, 1, 1},
		PreNorms: []bool{false, true, true, true},
		Window:   12,
		MLP:      4,
		QKVBias:  true,
	}
}

// ParseConfig reads the vision_config of a config.json, of Hugging Face or of Florence-2's authors. What it leaves out
// is Base's, as there.
func ParseConfig(b []byte) (Config, error) {
	c := Base()
	other := struct {
		Widths     []int64 `json:"dim_embed"` // the authors' name of embed_dim
		Channels   int64   `json:"in_channels"`
		Activation string  `json:"activation_function"`
	}{Channels: 3, Activation: "gelu"}
	if len(b) > 0 {
		for _, to := range []any{&c, &other} {
			if err := json.Unmarshal(b, to); err != nil {
				return c, fmt.Errorf("vision_config: %w", err)
			}
		}
	}
	if other.Widths != nil {
		c.Widths = other.Widths
	}
	switch {
	case other.Channels != 3:
		return c, fmt.Errorf("vision_config: found in_channels %d, want 3", other.Channels)
	case other.Activation != "gelu":
		return c, fmt.Errorf("vision_config: found activation_function %q, want gelu", other.Activation)
	}
	return c, c.Validate()
}

// Width is the channels of what the network gives.
func (c Config) Width() int64 { return c.Widths[len(c.Widths)-1] }

// MapSide is the side of the last map for square images of a side in pixels; 0 where nothing is left of one.
func (c Config) MapSide(side int64) int64 {
	for i := range c.Widths {
		room := side + 2*c.Paddings[i] - c.Kernels[i]
		if room < 0 {
			return 0
		}
		side = room/c.Strides[i] + 1
	}
	return side
}

// inner is the channels inside the layers of a stage.
func (c Config) inner(stage int) int64 { return int64(float64(c.Widths[stage]) * c.MLP) }

// Validate returns every problem at once.
func (c Config) Validate() error {
	var wrong mistakes.List
	c.validateStages(&wrong)
	if len(wrong) == 0 { // else the stages cannot be looked at
		for i := range c.Widths {
			c.validateStage(&wrong, i)
		}
	}
	return wrong.Err("davit config")
}

// validateStages wants each list to name as many stages.
func (c Config) validateStages(wrong *mistakes.List) {
	n := len(c.Widths)
	wrong.Check(n > 0, "embed_dim: found no stages, want 1 or more")
	for _, f := range []struct {
		name   string
		stages int
	}{
		{"depths", len(c.Depths)}, {"num_groups", len(c.Groups)}, {"num_heads", len(c.Heads)},
		{"patch_padding", len(c.Paddings)}, {"patch_prenorm", len(c.PreNorms)}, {"patch_size", len(c.Kernels)},
		{"patch_stride", len(c.Strides)},
	} {
		wrong.Check(f.stages == n, "%s: found %d stages, want the %d of embed_dim", f.name, f.stages, n)
	}
	wrong.Check(c.MLP > 0 && c.MLP < 1024 && c.Window >= 1, "mlp_ratio and window_size: found %g and %d, want more than 0",
		c.MLP, c.Window)
}

func (c Config) validateStage(wrong *mistakes.List, i int) {
	width := c.Widths[i]
	wrong.Check(width >= 1 && c.Depths[i] >= 1 && c.Kernels[i] >= 1 && c.Strides[i] >= 1 && c.Paddings[i] >= 0,
		"stage %d: found width %d, depth %d and a convolution of %d, stride %d, padding %d, want 1 or more",
		i, width, c.Depths[i], c.Kernels[i], c.Strides[i], c.Paddings[i])
	wrong.Check(c.Heads[i] >= 1 && c.Groups[i] >= 1 && width%max(c.Heads[i], 1) == 0 && width%max(c.Groups[i], 1) == 0,
		"stage %d: found %d heads and %d groups, want divisors of its %d channels", i, c.Heads[i], c.Groups[i], width)
}

// headSize is the channels of a head and of a group in every published network.
const headSize = 32

// ConfigOf reads the sizes from the weights themselves, in the keys of Keys. Heads and groups are of 32 channels, which
// no weight tells. Nor does it tell strides, padding and the side of a window: they are as in Base.
func ConfigOf(src weights.Source) (Config, error) {
	shapes := weights.ShapesOf(src)
	c := Config{Window: Base().Window, QKVBias: shapes.Has("blocks.0.0.spatial_block.window_attn.qkv.bias")}
	for i := range shapes.Blocks("convs.") {
		conv := shapes.Of(fmt.Sprintf("convs.%d.conv.weight", i), 4) // [out, in, k, k]
		norm := shapes.Of(fmt.Sprintf("convs.%d.norm.weight", i), 1)
		width, kernel, stride := conv[0], conv[3], int64(2)
		if i == 0 {
			stride = 4
		}
		c.Widths, c.Kernels, c.Strides = append(c.Widths, width), append(c.Kernels, kernel), append(c.Strides, stride)
		c.Paddings = append(c.Paddings, kernel/2)
		c.PreNorms = append(c.PreNorms, norm[0] == conv[1] && conv[0] != conv[1])
		c.Depths = append(c.Depths, shapes.Blocks(fmt.Sprintf("blocks.%d.", i)))
		heads := max(1, width/headSize)
		c.Heads, c.Groups = append(c.Heads, heads), append(c.Groups, heads)
	}
	inner := shapes.Of("blocks.0.0.spatial_block.ffn.fc1.weight", 2) // [inner, C]
	if err := shapes.Err(); err != nil {
		return Config{}, fmt.Errorf("read DaViT's sizes: %w", err)
	}
	if inner[1] > 0 {
		c.MLP = float64(inner[0]) / float64(inner[1])
	}
	return c, c.Validate()
}

// agree says which of the sizes is not found, that of the weights.
func (c Config) agree(found Config) error {
	for _, s := range []struct {
		name        string
		said, found any
	}{
		{"embed_dim", c.Widths, found.Widths},
		{"depths", c.Depths, found.Depths},
		{"patch_size", c.Kernels, found.Kernels},
		{"qkv_bias", c.QKVBias, found.QKVBias},
	} {
		if !reflect.DeepEqual(s.said, s.found) {
			return fmt.Errorf("found %s %v, want the %v of the weights", s.name, s.said, s.found)
		}
	}
	if math.Abs(c.MLP-found.MLP)*float64(c.Widths[0]) >= 1 {
		return fmt.Errorf("found mlp_ratio %g, want the %g of the weights", c.MLP, found.MLP)
	}
	return nil
}
