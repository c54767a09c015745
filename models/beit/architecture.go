package beit

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

// modelTypes are those of a BeitConfig and of a Data2VecVisionConfig.
var modelTypes = [2]string{"beit", "data2vec-vision"}

// Architecture is Hugging Face's BeitModel and Data2VecVisionModel as a vision encoder.
func Architecture() encoder.Architecture {
	return encoder.Architecture{
		Name: "BEiT", Key: "beit", Parse: encoder.Parse[Config],
		Classes:   []encoder.Class{{ModelType: modelTypes[0]}, {ModelType: modelTypes[1]}},
		Recognize: func(src weights.Source) bool { _, ok := find(src); return ok },
		Open:      open, Configure: configure,
	}
}

var _ encoder.Attention = Config{}

// Key is "beit".
func (c Config) Key() string { return "beit" }

// Side is 0: images of any size.
func (c Config) Side() int64 { return 0 }

// Memory is the kind that suits the network.
func (c Config) Memory() string { return encoder.Patches }

// HeadCount is the number of heads, and the channels that they share.
func (c Config) HeadCount() (heads, width int64) { return c.Heads, c.Width }

// WithHeads is c with another number of heads.
func (c Config) WithHeads(n int64) encoder.Encoder {
	c.Heads = n
	return c
}

// Shape is what a memory looks at, of square images of the given side.
func (c Config) Shape(m encoder.Memory, side int64) (positions, channels int64, err error) {
	if m.Form != "" {
		return 0, 0, fmt.Errorf("found form %q, want none for a BEiT", m.Form)
	}
	rows := side / c.PatchSize
	switch {
	case rows < 1 || rows > maxGrid:
		const want = "found images of %d pixels, want 1 to %d patches of %d a side"
		return 0, 0, fmt.Errorf(want, side, maxGrid, c.PatchSize)
	case m.Pooled() && c.MeanPooling && !c.PoolNorm:
		return 0, 0, errors.New("found a pooled memory of a BEiT without the norm of its pooler, " +
			"want one of patches, tokens or grid")
	case m.Pooled():
		return 1, c.Width, nil
	case m.Kind == encoder.Grid:
		return rows * rows, c.Width, nil // the class token has no position in the image
	}
	return 1 + rows*rows, c.Width, nil
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

// Features gives what a memory looks at, [B, P, C] in float32, from normalized images [B, 3, side, side].
func (e *Encoder) Features(x *torch.Tensor, m encoder.Memory) *torch.Tensor {
	if m.Pooled() {
		return e.Pooled(x).Unsqueeze(1) // [B, C] -> [B, 1, C]
	}
	return m.FromTokens(e.Tokens(x), 1)
}

// describe is a network as an encoder of images of a side in pixels, with what a BeitImageProcessor does to them: it
// scales an image to 256 x 256 pixels by bicubic and cuts out the middle, of 224 x 224.
func describe(c Config, side int64) encoder.Config {
	half := [3]float64{127.5, 127.5, 127.5}
	e := encoder.Config{
		Architecture: fmt.Sprintf("BEiT of %s, width %d, patches of %d", plural.Count(c.Layers, "layer"), c.Width,
			c.PatchSize),
		Encoder:    c,
		Preprocess: image.Preprocess{Size: int(side), Fit: image.FitSquash, CropFloor: true, Mean: half, Std: half},
	}
	if side < 256 {
		e.Preprocess.Resize = 256
	}
	return e
}

// find says below which prefix a network stands in src: "beit." in a BeitForImageClassification. A ViT of Hugging Face
// has biases of keys as of queries, or neither.
func find(src weights.Source) (prefix string, ok bool) {
	names := src.Names()
	for _, name := range names {
		if prefix, ok := strings.CutSuffix(name, patchName); ok && slices.Contains(names, prefix+queryBias) &&
			!slices.Contains(names, prefix+keyBias) {
			return prefix, true
		}
	}
	return "", false
}

// Keys shows a checkpoint of Hugging Face's BeitModel or Data2VecVisionModel without a prefix, and without what makes
// no features: what stands beside the network, the token of masked patches, and numbers that follow from the sizes. The
// view owns src.
func Keys(src weights.Source) (weights.Source, error) {
	prefix, ok := find(src)
	if !ok {
		const message = "read a BEiT's weights: found %s, none of them %q without %q, want a BeitModel of Hugging Face"
		return nil, fmt.Errorf(message, plural.Count(len(src.Names()), "tensor"), queryBias, keyBias)
	}
	beside := []string{"classifier.", "decode_head.", "auxiliary_head.", "lm_head.", "decoder.", "fpn1.", "fpn2."}
	return weights.Rename(src, func(name string) (string, bool) {
		rest, ok := strings.CutPrefix(name, prefix)
		constant := strings.HasSuffix(rest, ".relative_position_index") || rest == "embeddings.mask_token"
		other := slices.ContainsFunc(beside, func(s string) bool { return strings.HasPrefix(rest, s) })
		return rest, ok && !constant && !other
	})
}

// open describes a checkpoint of a BeitModel.
func open(src weights.Source) (encoder.Config, weights.Source, error) {
	src, err := Keys(src)
	if err != nil {
		return encoder.Config{}, nil, err
	}
	c, err := ConfigOf(src)
	if err != nil {
		return encoder.Config{}, nil, err
	}
	side := c.Grid * c.PatchSize
	if side == 0 {
		side = 224 // of a BeitConfig
	}
	named, err := weights.Rename(src, weights.Prefix("", encoder.Prefix))
	return describe(c, side), named, err
}

// configure takes the settings of a BeitConfig.
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
