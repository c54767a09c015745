package vit

import (
	"errors"
	"fmt"

	"captioner/models/encoder"
	"captioner/weights"
	"captioner/weights/plural"
)

// Config is the shape of the network.
type Config struct {
	ImageSize int64 `json:"image_size"` // side of the images in pixels
	PatchSize int64 `json:"patch_size"`
	Width     int64 `json:"width"` // of a token
	Heads     int64 `json:"heads"`
	Layers    int   `json:"layers"`
	MLP       int64 `json:"mlp_width"`

	NormEpsilon float64 `json:"norm_epsilon,omitempty"` // of every norm; 0 is timm's, 1e-6
}

const (
	headSize  = 64   // channels of a head in the published models
	hugeWidth = 1280 // of ViT-Huge, whose heads are wider
	hugeHeads = 16
)

// headsOf is the heads of the published model of a width; 0 where that is none of theirs.
func headsOf(width int64) int64 {
	switch {
	case width == hugeWidth:
		return hugeHeads
	case width%headSize != 0:
		return 0
	}
	return width / headSize
}

// HeadCount is the number of heads, and the channels that they share.
func (c Config) HeadCount() (heads, width int64) { return c.Heads, c.Width }

// WithHeads is c with another number of heads.
func (c Config) WithHeads(n int64) encoder.Encoder {
	c.Heads = n
	return c
}

// Tokens is how many tokens of which width the tower gives for one image: the class first, then one a patch.
func (c Config) Tokens() (tokens, width int64) { return 1 + c.side()*c.side(), c.Width }

// side is the number of patches in a row.
func (c Config) side() int64 { return c.ImageSize / c.PatchSize }

func (c Config) epsilon() float64 {
	if c.NormEpsilon == 0 {
		return 1e-6
	}
	return c.NormEpsilon
}

// Validate returns every problem at once.
func (c Config) Validate() error {
	var errs []error
	for _, f := range []struct {
		name string
		v    int64
	}{{"width", c.Width}, {"layers", int64(c.Layers)}, {"mlp width", c.MLP}} {
		if f.v < 1 {
			errs = append(errs, fmt.Errorf("%s: found %d, want 1 or more", f.name, f.v))
		}
	}
	if c.Heads < 1 || c.Width%c.Heads != 0 {
		errs = append(errs, fmt.Errorf("heads: found %d, want a divisor of %s", c.Heads, plural.Count(c.Width, "channel")))
	}
	if c.PatchSize < 1 || c.ImageSize < c.PatchSize {
		errs = append(
			errs,
			fmt.Errorf(
				"patch size and image size: found %d and %d, want 1 or more and at least a patch",
				c.PatchSize,
				c.ImageSize,
			),
		)
	}
	if !(c.NormEpsilon >= 0 && c.NormEpsilon < 1) {
		errs = append(errs, fmt.Errorf("norm epsilon: found %g, want 0 to less than 1", c.NormEpsilon))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("vit config: %w", err)
	}
	return nil
}

// ConfigOf reads the sizes from the weights themselves, in timm's keys (see Keys). No weight tells the heads: they are
// those of the published model of that width, and 0 where it is the width of none.
func ConfigOf(src weights.Source) (Config, error) {
	shapes := weights.ShapesOf(src)
	patch := shapes.Of("patch_embed.proj.weight", 4) // [C, 3, p, p]
	c := Config{
		PatchSize: patch[3], Width: patch[0], Heads: headsOf(patch[0]), Layers: shapes.Blocks("blocks."),
		MLP: shapes.Of("blocks.0.mlp.fc1.weight", 2)[0],
	}
	c.ImageSize = c.PatchSize * shapes.GridSide("pos_embed", shapes.Of("pos_embed", 3)[1]) // [1, T, C]
	if err := shapes.Err(); err != nil {
		return Config{}, fmt.Errorf("read a ViT's sizes: %w", err)
	}
	known := c // whether any number of heads would do
	known.Heads = max(1, c.Heads)
	return c, known.Validate()
}
