package davit

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
)

// Architecture is the vision encoder of Florence-2: its checkpoints, of which it takes nothing else.
func Architecture() encoder.Architecture {
	return encoder.Architecture{
		Name: "DaViT", Key: "davit", Parse: encoder.Parse[Config],
		Classes:   []encoder.Class{{ModelType: "florence2"}},
		Recognize: func(src weights.Source) bool { _, _, ok := find(src); return ok },
		Open:      Open, Configure: configure,
	}
}

var _ encoder.Encoder = Config{}

// Key is "davit".
func (c Config) Key() string { return "davit" }

// Side is 0: images of any size.
func (c Config) Side() int64 { return 0 }

// Memory is the kind that suits the network.
func (c Config) Memory() string { return encoder.Grid }

// Shape is what a memory looks at, of square images of the given side.
func (c Config) Shape(m encoder.Memory, side int64) (positions, channels int64, err error) {
	const raw = "raw"
	if m.Form != "" && m.Form != raw {
		return 0, 0, fmt.Errorf("found form %q, want %q for a DaViT", m.Form, raw)
	}
	if m.Pooled() {
		return 1, c.Width(), nil
	}
	if side = c.MapSide(side); side < 1 {
		return 0, 0, errors.New("found images that are smaller than the kernels of a DaViT, want larger ones")
	}
	return side * side, c.Width(), nil
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
	return m.FromMap(e.Map(x))
}

// Mean and Std are those of ImageNet.
var Mean, Std = encoder.ImageNetMean, encoder.ImageNetStd

// imageSide is the side of the images of every published Florence-2, in pixels.
const imageSide = 768

// Describe is a network as an encoder, with the preprocessing of the published Florence-2: both sides of an image
// scaled to 768 pixels by bicubic.
func Describe(c Config) encoder.Config {
	return encoder.Config{
		Architecture: fmt.Sprintf("DaViT of depths %d, widths %d", c.Depths, c.Widths),
		Encoder:      c,
		Preprocess:   image.Preprocess{Size: imageSide, Fit: image.FitSquash, Mean: Mean, Std: Std},
	}
}

// Open describes the network inside a checkpoint of Florence-2, and shows its tensors under encoder.Prefix.
func Open(src weights.Source) (encoder.Config, weights.Source, error) {
	src, err := Keys(src)
	if err != nil {
		return encoder.Config{}, nil, err
	}
	c, err := ConfigOf(src)
	if err != nil {
		return encoder.Config{}, nil, err
	}
	named, err := weights.Rename(src, weights.Prefix("", encoder.Prefix))
	return Describe(c), named, err
}

// configure takes the vision_config of a config.json beside the weights.
func configure(e *encoder.Config, beside encoder.Folder) error {
	var config struct {
		Vision json.RawMessage `json:"vision_config"`
	}
	if err := encoder.ReadJSON(beside, "config.json", &config); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if err := Configure(e, config.Vision); err != nil {
		return fmt.Errorf("read config.json: %w", err)
	}
	return nil
}

// Configure takes from a vision_config what no weight says, and compares the rest with e, which Open read off the
// weights.
func Configure(e *encoder.Config, vision json.RawMessage) error {
	c, err := ParseConfig(vision)
	if err != nil {
		return err
	}
	if err := c.agree(e.Encoder.(Config)); err != nil {
		return fmt.Errorf("vision_config: %w", err)
	}
	described := Describe(c)
	e.Architecture, e.Encoder = described.Architecture, c
	return nil
}
