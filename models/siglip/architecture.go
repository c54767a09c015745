package siglip

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"

	"captioner/data/image"
	"captioner/models/encoder"
	"captioner/models/vit"
	"captioner/weights"
	"captioner/weights/plural"
)

// Architecture is SigLIP's vision tower as a vision encoder.
func Architecture() encoder.Architecture {
	return encoder.Architecture{
		Name: "SigLIP", Key: "siglip", Parse: encoder.Parse[Tower],
		Classes: []encoder.Class{{ModelType: "siglip"}, {ModelType: "siglip_vision_model"}},
		Kin: []encoder.Kin{{
			ModelTypes: []string{"siglip2", "siglip2_vision_model"}, Recognize: isNaFlex,
			Foreign: encoder.ForeignError{
				Found: "a SigLIP 2 of the kind NaFlex, which takes images of any shape", Want: "one for images of one size",
				Remedy: "google/siglip2-base-patch16-256 and others without naflex in their names are such",
			},
		}},
		Recognize: func(src weights.Source) bool { _, ok := find(src); return ok },
		Open:      open, Configure: configure,
	}
}

// Tower is the sizes of the vision tower. It is a ViT.
type Tower struct{ vit.Config }

var _ encoder.Attention = Tower{}

// Key is "siglip".
func (Tower) Key() string { return "siglip" }

// WithHeads is t with another number of heads.
func (t Tower) WithHeads(n int64) encoder.Encoder {
	t.Heads = n
	return t
}

// Shape is what a memory looks at.
func (t Tower) Shape(m encoder.Memory, side int64) (positions, channels int64, err error) {
	if m.Pooled() {
		return 0, 0, errors.New("found a pooled memory of a SigLIP, whose pooling head is not read, " +
			"want one of patches, tokens or grid")
	}
	return t.Config.Shape(m, side)
}

// open describes a checkpoint of Hugging Face.
func open(src weights.Source) (encoder.Config, weights.Source, error) {
	src, err := Keys(src)
	if err != nil {
		return encoder.Config{}, nil, err
	}
	c, err := vit.ConfigOf(src)
	if err != nil {
		return encoder.Config{}, nil, err
	}
	c.Activation = vit.GELUTanh
	known, _ := sizeOf(c.Width)
	c.Heads = known.heads
	if c.PatchSize == 14 && c.ImageSize == 27*14 { // siglip-so400m-patch14-384, whose last patches are not whole
		c.ImageSize = 384
	}
	named, err := weights.Rename(src, weights.Prefix("", encoder.Prefix))
	return Describe(c), named, err
}

// Describe is a vision tower as an encoder, with the preprocessing of Hugging Face's SiglipImageProcessor.
func Describe(c vit.Config) encoder.Config {
	name := fmt.Sprintf("SigLIP of %s, width %d", plural.Count(c.Layers, "layer"), c.Width)
	if known, ok := sizeOf(c.Width); ok && known.layers == c.Layers {
		name = "SigLIP " + known.name
	}
	return encoder.Config{
		Architecture: fmt.Sprintf("%s, patches of %d, images of %d", name, c.PatchSize, c.ImageSize),
		Encoder:      Tower{c},
		Preprocess:   image.Preprocess{Size: int(c.ImageSize), Fit: image.FitSquash, Mean: Mean, Std: Std},
	}
}

// visionConfig is what Hugging Face's SiglipVisionConfig says. What it leaves out is that of the base tower.
type visionConfig struct {
	ModelType  string  `json:"model_type"`
	Width      int64   `json:"hidden_size"`
	Layers     int     `json:"num_hidden_layers"`
	MLP        int64   `json:"intermediate_size"`
	Heads      int64   `json:"num_attention_heads"`
	Channels   int64   `json:"num_channels"`
	ImageSize  int64   `json:"image_size"`
	PatchSize  int64   `json:"patch_size"`
	Activation string  `json:"hidden_act"`
	Epsilon    float64 `json:"layer_norm_eps"`
}

// configure takes the settings of Hugging Face's SiglipConfig or SiglipVisionConfig.
func configure(e *encoder.Config, beside encoder.Folder) error {
	base := visionConfig{Width: 768, Layers: 12, MLP: 3072, Heads: 12, Channels: 3, ImageSize: 224, PatchSize: 16,
		Activation: "gelu_pytorch_tanh", Epsilon: 1e-6}
	inner := base
	config := struct {
		Vision *visionConfig `json:"vision_config"`
		visionConfig
	}{Vision: &inner, visionConfig: base}
	err := encoder.ReadJSON(beside, "config.json", &config)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	own := config.visionConfig
	if own.ModelType != "siglip_vision_model" && config.Vision != nil {
		own = *config.Vision
	}
	c := e.Encoder.(Tower).Config
	if err := own.apply(&c); err != nil {
		return fmt.Errorf("read config.json: %w", err)
	}
	*e = Describe(c)
	return nil
}

// apply takes what no weight says, and compares the rest with c, which was read off the weights.
func (v visionConfig) apply(c *vit.Config) error {
	sizes := encoder.Sizes{}
	layers := int64(v.Layers)
	sizes.Width, sizes.Layers, sizes.MLP = &v.Width, &layers, &v.MLP
	if err := sizes.Agree(c.Width, int64(c.Layers), c.MLP, 0, 0); err != nil {
		return err
	}
	activations := map[string]string{"gelu_pytorch_tanh": vit.GELUTanh, "gelu": ""}
	activation, known := activations[v.Activation]
	rows := c.ImageSize / c.PatchSize
	switch {
	case v.PatchSize != c.PatchSize || v.ImageSize/max(v.PatchSize, 1) != rows:
		return fmt.Errorf("found image_size %d and patch_size %d, want the %d rows of patches of %d of the weights",
			v.ImageSize, v.PatchSize, rows, c.PatchSize)
	case !known:
		return fmt.Errorf("found hidden_act %q, want gelu_pytorch_tanh or gelu", v.Activation)
	case cmp.Or(v.Channels, 3) != 3:
		return fmt.Errorf("found num_channels %d, want 3", v.Channels)
	}
	c.ImageSize, c.Heads, c.Activation, c.NormEpsilon = v.ImageSize, v.Heads, activation, v.Epsilon
	return nil
}
