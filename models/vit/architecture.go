package vit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"captioner/data/image"
	"captioner/models/encoder"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
	"captioner/weights/plural"
)

// Architecture is Hugging Face's ViTModel as a vision encoder.
func Architecture() encoder.Architecture {
	return encoder.Architecture{
		Name: "ViT", Key: "vit", Parse: encoder.Parse[Config],
		Recognize: func(src weights.Source) bool { _, ok := IsHuggingFace(src); return ok },
		Open:      open, Configure: configure,
	}
}

var _ encoder.Attention = Config{}

// Key is "vit".
func (c Config) Key() string { return "vit" }

// Side is the side of the images in pixels.
func (c Config) Side() int64 { return c.ImageSize }

// Memory is the kind that suits the network.
func (c Config) Memory() string { return encoder.Patches }

// Shape is what a memory looks at.
func (c Config) Shape(m encoder.Memory, _ int64) (positions, channels int64, err error) {
	const normed = "normed"
	if m.Form != "" && m.Form != normed {
		return 0, 0, fmt.Errorf("found form %q, want %q for BLIP and ViT", m.Form, normed)
	}
	positions, channels = c.Tokens()
	switch {
	case m.Pooled():
		positions = 1
	case m.Kind == encoder.Grid:
		positions-- // the class token has no position in the image
	}
	return positions, channels, nil
}

// Load reads the network for inference in type d.
func (c Config) Load(src weights.Source, o nn.LoadOptions, d torch.DType) (encoder.Network, error) {
	m, err := New(c)
	if err != nil {
		return nil, err
	}
	defer m.Free()
	if err := m.Load(src, o); err != nil {
		return nil, err
	}
	return m.Encoder(d), nil
}

// Features gives what a memory looks at, [B, P, C] in float32, from normalized images [B, 3, ImageSize, ImageSize].
func (e *Encoder) Features(x *torch.Tensor, m encoder.Memory) *torch.Tensor {
	if m.Pooled() {
		return e.EncodeImage(x).Unsqueeze(1) // [B, C] -> [B, 1, C]
	}
	return m.FromTokens(e.Tokens(x))
}

// open describes a checkpoint of a ViTModel.
func open(src weights.Source) (encoder.Config, weights.Source, error) {
	src, err := Keys(src)
	if err != nil {
		return encoder.Config{}, nil, err
	}
	c, err := ConfigOf(src)
	if err != nil {
		return encoder.Config{}, nil, err
	}
	c.NormEpsilon = 1e-12 // ViTConfig's own
	named, err := weights.Rename(src, weights.Prefix("", encoder.Prefix))
	return encoder.Config{
		Architecture: "ViT" + c.Sizes(),
		Encoder:      c,
		Preprocess: image.Preprocess{
			Size: int(c.ImageSize), Fit: image.FitSquash, Filter: image.FilterLinear, Mean: Mean, Std: Std,
		},
	}, named, err
}

// Sizes says the sizes for people.
func (c Config) Sizes() string {
	return fmt.Sprintf(" of %s, width %d, patches of %d, pictures of %d",
		plural.Count(c.Layers, "layer"), c.Width, c.PatchSize, c.ImageSize)
}

// configure takes the settings of a ViTConfig.
func configure(e *encoder.Config, beside encoder.Folder) error {
	config, err := beside.Read("config.json")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	c := e.Encoder.(Config)
	if err == nil {
		err = c.Configure(config)
	}
	var sizes encoder.Sizes
	if err == nil {
		err = json.Unmarshal(config, &sizes)
	}
	if err == nil {
		err = sizes.Agree(c.Width, int64(c.Layers), c.MLP, c.ImageSize, c.PatchSize)
	}
	if err != nil {
		return fmt.Errorf("read config.json: %w", err)
	}
	e.Encoder = c
	return nil
}
