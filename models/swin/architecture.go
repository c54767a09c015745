package swin

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"captioner/data/image"
	"captioner/models/encoder"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
	"captioner/weights/plural"
)

// Architecture is Hugging Face's SwinModel as a vision encoder.
func Architecture() encoder.Architecture {
	return encoder.Architecture{
		Name: "Swin", Key: "swin", Parse: encoder.Parse[Config],
		Recognize: func(src weights.Source) bool { _, ok := find(src); return ok },
		Open:      open, Configure: configure,
	}
}

var _ encoder.Encoder = Config{}

// Key is "swin".
func (c Config) Key() string { return "swin" }

// Side is 0: images of any size that fill the windows.
func (c Config) Side() int64 { return 0 }

// Memory is the kind that suits the network.
func (c Config) Memory() string { return encoder.Grid }

// Shape is what a memory looks at, of square images of the given side.
func (c Config) Shape(m encoder.Memory, side int64) (positions, channels int64, err error) {
	const normed = "normed"
	if m.Form != "" && m.Form != normed {
		return 0, 0, fmt.Errorf("found form %q, want %q for a Swin", m.Form, normed)
	}
	if err := c.holds(side); err != nil {
		return 0, 0, err
	}
	last := len(c.Depths) - 1
	if m.Pooled() {
		return 1, c.width(last), nil
	}
	side = c.mapSide(last, side)
	return side * side, c.width(last), nil
}

// Load reads the network for inference in type d.
func (c Config) Load(src weights.Source, o nn.LoadOptions, d torch.DType) (encoder.Network, error) {
	m, err := New(c)
	if err != nil {
		return nil, err
	}
	defer m.Free()
	if err := m.Load(src, o.AsStored()); err != nil {
		return nil, err
	}
	return m.Encoder(d), nil
}

// Features gives what a memory looks at, [B, P, C] in float32, from normalized images [B, 3, h, w].
func (e *Encoder) Features(x *torch.Tensor, m encoder.Memory) *torch.Tensor {
	return m.FromMap(e.Tokens(x))
}

// describe is a network as an encoder of images of a side in pixels.
func describe(c Config, side int64) encoder.Config {
	return encoder.Config{
		Architecture: fmt.Sprintf("Swin of %s in %d stages, width %d, patches of %d, windows of %d",
			plural.Count(sum(c.Depths), "layer"), len(c.Depths), c.Width, c.PatchSize, c.Window),
		Encoder: c,
		Preprocess: image.Preprocess{
			Size: int(side), Fit: image.FitSquash, Mean: encoder.ImageNetMean, Std: encoder.ImageNetStd,
		},
	}
}

func sum(all []int) (n int) {
	for _, one := range all {
		n += one
	}
	return n
}

// publishedSide is the side in pixels of the images of the published network with such windows: the last of its four
// maps is one window.
func publishedSide(c Config) int64 {
	return c.Window * c.PatchSize << (len(c.Depths) - 1)
}

// The tensors that tell a SwinModel, behind any prefix, from its kin: Swin V2 has no such table, Donut's no last norm.
const (
	patchMark = "embeddings.patch_embeddings.projection.weight"
	tableMark = "encoder.layers.0.blocks.0.attention.self.relative_position_bias_table"
	normMark  = "layernorm.weight"
)

// find says below which prefix a network stands in src: "swin." in a SwinForImageClassification.
func find(src weights.Source) (prefix string, ok bool) {
	names := src.Names()
	for _, name := range names {
		if prefix, ok := strings.CutSuffix(name, patchMark); ok && slices.Contains(names, prefix+tableMark) &&
			slices.Contains(names, prefix+normMark) {
			return prefix, true
		}
	}
	return "", false
}

// Keys shows a checkpoint of Hugging Face's SwinModel without a prefix, and without what makes no features: a
// classifier, the token of masked patches, and tables of numbers that follow from the sizes. The view owns src.
func Keys(src weights.Source) (weights.Source, error) {
	prefix, ok := find(src)
	if !ok {
		const message = "read a Swin's weights: found %s, none of them %q, want a SwinModel of Hugging Face"
		return nil, fmt.Errorf(message, plural.Count(len(src.Names()), "tensor"), tableMark)
	}
	return weights.Rename(src, func(name string) (string, bool) {
		rest, ok := strings.CutPrefix(name, prefix)
		constant := strings.HasSuffix(rest, ".relative_position_index") || rest == "embeddings.mask_token"
		beside := strings.HasPrefix(rest, "classifier.") || strings.HasPrefix(rest, "decoder.")
		return rest, ok && !constant && !beside
	})
}

// open describes a checkpoint of a SwinModel.
func open(src weights.Source) (encoder.Config, weights.Source, error) {
	src, err := Keys(src)
	if err != nil {
		return encoder.Config{}, nil, err
	}
	c, err := ConfigOf(src)
	if err != nil {
		return encoder.Config{}, nil, err
	}
	named, err := weights.Rename(src, weights.Prefix("", encoder.Prefix))
	return describe(c, publishedSide(c)), named, err
}

// configure takes the settings of a SwinConfig.
func configure(e *encoder.Config, beside encoder.Folder) error {
	config, err := beside.Read("config.json")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	c := e.Encoder.(Config)
	var side int64
	if err == nil {
		side, err = c.Configure(config)
	}
	if err != nil {
		return fmt.Errorf("read config.json: %w", err)
	}
	*e = describe(c, side)
	return nil
}
