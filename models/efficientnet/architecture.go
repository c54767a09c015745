package efficientnet

import (
	"fmt"
	"slices"
	"strings"

	"captioner/data/image"
	"captioner/models/encoder"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
)

// Architecture is EfficientNet-Lite as a vision encoder.
func Architecture() encoder.Architecture {
	return encoder.Architecture{
		Name: "EfficientNet-Lite", Key: "efficientnet", Parse: encoder.Parse[Config],
		Classes:   []encoder.Class{}, // it is not on the Hub
		Recognize: func(src weights.Source) bool { return slices.Contains(src.Names(), "_conv_stem.weight") },
		Open:      open,
	}
}

var _ encoder.Tunable = Config{}

// Key is "efficientnet".
func (c Config) Key() string { return "efficientnet" }

// Side is 0: images of any size.
func (c Config) Side() int64 { return 0 }

// Memory is the kind that suits the net.
func (c Config) Memory() string { return encoder.Grid }

// Shape is what a memory looks at, of square images of the given side.
func (c Config) Shape(m encoder.Memory, side int64) (positions, channels int64, err error) {
	const raw = "raw"
	if m.Form != "" && m.Form != raw {
		return 0, 0, fmt.Errorf("found form %q, want %q for an EfficientNet", m.Form, raw)
	}
	if m.Pooled() {
		return 1, c.GridChannels(), nil
	}
	side = c.GridSide(side)
	return side * side, c.GridChannels(), nil
}

// Load reads the net for inference, in type d on a GPU and in float32 on the CPU: bfloat16 there changes one caption in
// eight, in the decoder alone one in seventy, and saves a third of the time.
func (c Config) Load(src weights.Source, o nn.LoadOptions, d torch.DType) (encoder.Network, error) {
	m, err := New(c.WithoutHead())
	if err != nil {
		return nil, err
	}
	defer m.Free()
	if err := m.Load(src, o); err != nil {
		return nil, err
	}
	if o.Device == torch.CPU {
		d = torch.Float32
	}
	return m.Encoder(d), nil
}

// Features gives what a memory looks at, [B, P, C] in float32, from normalized images [B, 3, H, W].
func (e *Encoder) Features(x *torch.Tensor, m encoder.Memory) *torch.Tensor {
	return m.FromMap(e.Grid(x))
}

// TuneStages is the stages of the net.
func (c Config) TuneStages() int { return len(c.Stages) }

// LoadTrainable reads the net for training.
func (c Config) LoadTrainable(src weights.Source, o nn.LoadOptions) (encoder.Trainable, error) {
	m, err := New(c.WithoutHead())
	if err != nil {
		return nil, err
	}
	if err := m.Load(src, o); err != nil {
		m.Free()
		return nil, err
	}
	return trainable{m}, nil
}

// trainable is the net as an encoder that learns.
type trainable struct{ *Model }

func (t trainable) Module() any { return t.Model }

func (t trainable) Tunable(stage int, _ encoder.Memory) ([]nn.Param, error) {
	return t.Model.Tunable(stage)
}

func (t trainable) Upper(x *torch.Tensor, stage int, m encoder.Memory) *torch.Tensor {
	return m.FromMap(t.Model.Upper(x, stage))
}

// family is the nets of the Lite family by their names.
var family = []struct {
	name  string
	shape func() Config
}{
	{"efficientnet-lite0", Lite0},
	{"efficientnet-lite1", Lite1},
	{"efficientnet-lite2", Lite2},
	{"efficientnet-lite3", Lite3},
	{"efficientnet-lite4", Lite4},
}

// open finds out which member of the family a checkpoint is, by its number of blocks and the width of the last one.
func open(src weights.Source) (encoder.Config, weights.Source, error) {
	names := map[string]bool{}
	for _, n := range src.Names() {
		names[n] = true
	}
	last := func(blocks int) string { return fmt.Sprintf("_blocks.%d._project_conv.weight", blocks) }
	blocks := 0
	for names[last(blocks)] {
		blocks++
	}
	var width int64
	if t, err := src.Tensor(last(blocks - 1)); err == nil && len(t.Shape) == 4 {
		width = t.Shape[0]
	}
	for _, known := range family {
		c := known.shape().WithoutHead()
		if c.FirstBlock(len(c.Stages)) != blocks || c.GridChannels() != width {
			continue
		}
		named, err := weights.Rename(src, func(n string) (string, bool) {
			unused := strings.HasSuffix(n, ".num_batches_tracked") || strings.HasPrefix(n, "_fc.") ||
				strings.HasPrefix(n, "_conv_head.") || strings.HasPrefix(n, "_bn1.")
			return encoder.Prefix + n, !unused
		})
		return Describe(known.name, c), named, err
	}
	const found = "found an EfficientNet of %d blocks and %d channels, want one of the Lite family"
	return encoder.Config{}, nil, fmt.Errorf(found, blocks, width)
}

// Describe is a net as an encoder, with the preprocessing of its published weights.
func Describe(name string, c Config) encoder.Config {
	p := image.Preprocess{Size: int(c.Resolution), Fit: image.FitSquash}
	for i := range 3 {
		p.Mean[i], p.Std[i] = Mean, Std
	}
	return encoder.Config{Architecture: name, Encoder: c, Preprocess: p}
}
