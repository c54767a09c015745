package vit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"captioner/data/image"
	"captioner/models/encoder"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
	"captioner/weights/plural"
)

// Architecture is Hugging Face's ViTModel and DeiTModel as a vision encoder.
func Architecture() encoder.Architecture {
	return encoder.Architecture{
		Name: "ViT/DeiT", Key: "vit", Parse: encoder.Parse[Config],
		Classes: []encoder.Class{
			{ModelType: "vit"},
			{ModelType: "deit"},
		},
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
func (c Config) Shape(m encoder.Memory, side int64) (positions, channels int64, err error) {
	const normed = "normed"
	if m.Form != "" && m.Form != normed {
		return 0, 0, fmt.Errorf("found form %q, want %q for %s", m.Form, normed, kinds)
	}
	positions, channels = c.Tokens(side)
	switch {
	case positions <= c.Lead():
		return 0, 0, fmt.Errorf("found images of %d pixels, want at least a patch of %d", side, c.PatchSize)
	case m.Pooled() && c.NoClass:
		return 0, 0, errors.New("found a pooled memory of a network without a class token, " +
			"want one of patches, tokens or grid")
	case m.Pooled():
		positions = 1
	case m.Kind == encoder.Grid:
		positions -= c.Lead() // which have no position in the image
	}
	return positions, channels, nil
}

// kinds are the encoders that have this network.
const kinds = "BLIP, ViT, SigLIP and DINOv2"

// Load reads the network for inference in type d.
func (c Config) Load(src weights.Source, o nn.LoadOptions, d torch.DType) (encoder.Network, error) {
	m, err := New(c)
	if err != nil {
		return nil, err
	}
	defer m.Free()
	o.Stored = blockMatrix // converted one by one as they are packed
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
	return m.FromTokens(e.Tokens(x), e.Config.Lead())
}

// blockMatrix says whether a tensor is one of the large weights, by its name.
func blockMatrix(name string) bool {
	_, part, ok := strings.Cut(name, "blocks.")
	return ok && strings.HasSuffix(part, "weight") && !strings.Contains(part, ".norm")
}

// open describes a checkpoint of a ViTModel or a DeiTModel.
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
	e := encoder.Config{
		Architecture: "ViT" + c.Sizes(),
		Encoder:      c,
		Preprocess: image.Preprocess{
			Size: int(c.ImageSize), Fit: image.FitSquash, Filter: image.FilterLinear, Mean: Mean, Std: Std,
		},
	}
	if c.Distilled { // a DeiTImageProcessor cuts out the middle of an image of 256 x 256, scaled by bicubic
		e.Architecture = "DeiT" + c.Sizes()
		e.Preprocess = image.Preprocess{
			Size: int(c.ImageSize), Resize: max(256, int(c.ImageSize)), Fit: image.FitSquash, CropFloor: true,
			Mean: encoder.ImageNetMean, Std: encoder.ImageNetStd,
		}
	}
	return e, named, err
}

// Sizes says the sizes for people.
func (c Config) Sizes() string {
	return fmt.Sprintf(" of %s, width %d, patches of %d, pictures of %d",
		plural.Count(c.Layers, "layer"), c.Width, c.PatchSize, c.ImageSize)
}

// configure takes the settings of a ViTConfig or a DeiTConfig.
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
