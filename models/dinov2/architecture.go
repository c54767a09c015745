package dinov2

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"captioner/data/image"
	"captioner/models/encoder"
	"captioner/models/vit"
	"captioner/weights"
	"captioner/weights/plural"
)

// Architecture is DINOv2 as a vision encoder.
func Architecture() encoder.Architecture {
	return encoder.Architecture{
		Name: "DINOv2", Key: "dinov2", Parse: encoder.Parse[Tower],
		Classes: []encoder.Class{{ModelType: "dinov2"}, {ModelType: "dinov2_with_registers"}},
		Kin: []encoder.Kin{{
			ModelTypes: []string{"dinov3_vit", "dinov3_convnext"}, Recognize: isDINOv3,
			Foreign: encoder.ForeignError{
				Found: "a DINOv3", Want: "a DINOv2",
				Remedy: "facebook/dinov2-base and facebook/dinov2-with-registers-base are such",
			},
		}},
		Recognize: func(src weights.Source) bool { _, _, ok := find(src); return ok },
		Open:      open, Configure: configure,
	}
}

// Tower is the sizes of the network. It is a ViT.
type Tower struct{ vit.Config }

var _ encoder.Attention = Tower{}

// Key is "dinov2".
func (Tower) Key() string { return "dinov2" }

// WithHeads is t with another number of heads.
func (t Tower) WithHeads(n int64) encoder.Encoder {
	t.Heads = n
	return t
}

// open describes a checkpoint of Hugging Face or of DINOv2's authors.
func open(src weights.Source) (encoder.Config, weights.Source, error) {
	src, err := Keys(src)
	if err != nil {
		return encoder.Config{}, nil, err
	}
	c, err := vit.ConfigOf(src)
	if err != nil {
		return encoder.Config{}, nil, err
	}
	c.Grid, c.ImageSize = c.ImageSize/c.PatchSize, 0 // images of any size
	c.Antialias = c.Registers > 0
	named, err := weights.Rename(src, weights.Prefix("", encoder.Prefix))
	return Describe(c), named, err
}

// names are the published sizes by their widths.
var names = map[int64]string{384: "small", 768: "base", 1024: "large", 1536: "giant"}

// Describe is a network as an encoder, with the preprocessing of the published ones: the shorter side of an image
// scaled to 256 pixels by bicubic, the middle of 224 x 224 cut out.
func Describe(c vit.Config) encoder.Config {
	layers := map[string]int{"small": 12, "base": 12, "large": 24, "giant": 40}
	name := names[c.Width]
	if name == "" || layers[name] != c.Layers {
		name = fmt.Sprintf("of %s, width %d, patches of %d", plural.Count(c.Layers, "layer"), c.Width, c.PatchSize)
	}
	if c.Registers > 0 {
		name += " with " + plural.Count(c.Registers, "register")
	}
	return encoder.Config{
		Architecture: "DINOv2 " + name,
		Encoder:      Tower{c},
		Preprocess: image.Preprocess{Size: 224, Resize: 256, Fit: image.FitCrop, CropFloor: true,
			Mean: encoder.ImageNetMean, Std: encoder.ImageNetStd},
	}
}

// settings is what Hugging Face's Dinov2Config or Dinov2WithRegistersConfig says.
type settings struct {
	ModelType  string  `json:"model_type"`
	Width      int64   `json:"hidden_size"`
	Layers     int64   `json:"num_hidden_layers"`
	Heads      int64   `json:"num_attention_heads"`
	Channels   int64   `json:"num_channels"`
	ImageSize  int64   `json:"image_size"`
	PatchSize  int64   `json:"patch_size"`
	Activation string  `json:"hidden_act"`
	Epsilon    float64 `json:"layer_norm_eps"`
	Bias       bool    `json:"qkv_bias"`
	Gated      bool    `json:"use_swiglu_ffn"`
}

// configure takes what no weight says, and compares the rest with the weights. What the file leaves out is as the class
// has it, whose patches are larger with registers.
func configure(e *encoder.Config, beside encoder.Folder) error {
	b, err := beside.Read("config.json")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	c := e.Encoder.(Tower).Config
	s := settings{Width: 768, Layers: 12, Heads: 12, Channels: 3, ImageSize: 224, PatchSize: 14, Activation: "gelu",
		Epsilon: 1e-6, Bias: true}
	if c.Registers > 0 {
		s.PatchSize = 16
	}
	if err = json.Unmarshal(b, &s); err == nil {
		err = s.apply(&c)
	}
	if err != nil {
		return fmt.Errorf("read config.json: %w", err)
	}
	*e = Describe(c)
	return nil
}

func (s settings) apply(c *vit.Config) error {
	sizes := encoder.Sizes{Width: &s.Width, Layers: &s.Layers}
	if err := sizes.Agree(c.Width, int64(c.Layers), 0, 0, 0); err != nil {
		return err
	}
	switch {
	case s.PatchSize != c.PatchSize || s.ImageSize/max(s.PatchSize, 1) != c.Grid:
		return fmt.Errorf("found image_size %d and patch_size %d, want the %d rows of patches of %d of the weights",
			s.ImageSize, s.PatchSize, c.Grid, c.PatchSize)
	case s.Activation != "gelu" || !s.Bias || s.Gated != c.Gated || s.Channels != 3:
		const found = "found hidden_act %q, qkv_bias %v, use_swiglu_ffn %v and num_channels %d, want gelu, true, %v and 3"
		return fmt.Errorf(found, s.Activation, s.Bias, s.Gated, s.Channels, c.Gated)
	}
	c.Heads, c.NormEpsilon = s.Heads, s.Epsilon
	return nil
}
