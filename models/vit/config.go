package vit

import (
	"fmt"
	"slices"

	"captioner/models/encoder"
	"captioner/torch/nn"
	"captioner/weights"
	"captioner/weights/mistakes"
	"captioner/weights/plural"
)

// Config is the shape of the network. The zero value of each option is the Vision Transformer as it was published.
type Config struct {
	ImageSize int64 `json:"image_size,omitempty"` // side of the images in pixels; 0: any, see Grid
	PatchSize int64 `json:"patch_size"`
	Width     int64 `json:"width"` // of a token
	Heads     int64 `json:"heads"`
	Layers    int   `json:"layers"`
	MLP       int64 `json:"mlp_width"`

	NormEpsilon float64 `json:"norm_epsilon,omitempty"` // of every norm; 0 is timm's, 1e-6

	NoClass    bool   `json:"no_class,omitempty"`    // there is no class token (SigLIP)
	Distilled  bool   `json:"distilled,omitempty"`   // a second token behind the class token, with a position (DeiT)
	Registers  int64  `json:"registers,omitempty"`   // tokens behind the class token, without positions (DINOv2)
	LayerScale bool   `json:"layer_scale,omitempty"` // a factor for each channel of what a layer adds (DINOv2)
	Gated      bool   `json:"gated,omitempty"`       // SwiGLU in place of two layers (DINOv2 giant)
	Activation string `json:"activation,omitempty"`  // of the MLP: "" is GELU; GELUTanh

	// Grid is the rows of patches that have a position; 0: ImageSize/PatchSize. For images of other sizes the positions
	// are interpolated, with Antialias by kernels that are wider where there are fewer patches.
	Grid      int64 `json:"grid,omitempty"`
	Antialias bool  `json:"antialias,omitempty"`
}

// GELUTanh is GELU by its approximation with tanh.
const GELUTanh = "gelu_tanh"

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

// Lead is how many tokens stand before those of the patches.
func (c Config) Lead() int64 { return c.placed() + c.Registers }

// placed is how many of them have a position.
func (c Config) placed() int64 {
	switch {
	case c.NoClass:
		return 0
	case c.Distilled:
		return 2
	}
	return 1
}

// Tokens is how many tokens of which width the tower gives for one image of a side in pixels: the class token and its
// like first, then one a patch. The side is ImageSize where that is given.
func (c Config) Tokens(side int64) (tokens, width int64) {
	if c.ImageSize > 0 {
		side = c.ImageSize
	}
	rows := side / c.PatchSize
	return c.Lead() + rows*rows, c.Width
}

// grid is the rows of patches that have a position.
func (c Config) grid() int64 {
	if c.Grid > 0 {
		return c.Grid
	}
	return c.ImageSize / c.PatchSize
}

func (c Config) epsilon() float64 {
	if c.NormEpsilon == 0 {
		return 1e-6
	}
	return c.NormEpsilon
}

func (c Config) activation() nn.Activation {
	if c.Activation == GELUTanh {
		return nn.GELUTanh
	}
	return nn.GELU
}

// up is the width of what the first layer of an MLP gives.
func (c Config) up() int64 {
	if c.Gated {
		return 2 * c.MLP // the gate, then what goes through it
	}
	return c.MLP
}

// Validate returns every problem at once.
func (c Config) Validate() error {
	var wrong mistakes.List
	wrong.Positive("width", c.Width)
	wrong.Positive("layers", int64(c.Layers))
	wrong.Positive("mlp width", c.MLP)
	wrong.Divides("heads", c.Heads, c.Width)
	wrong.Check(c.PatchSize >= 1 && c.Grid >= 0 && (c.ImageSize >= c.PatchSize || c.ImageSize == 0 && c.Grid > 0),
		"patch size and image size: found %d and %d, want 1 or more and at least a patch", c.PatchSize, c.ImageSize)
	wrong.Share("norm epsilon", c.NormEpsilon)
	wrong.Check(c.Registers >= 0 && (!c.NoClass || !c.Distilled && c.Registers == 0),
		"tokens: found %s, distilled %v and no_class %v, want a class token before others",
		plural.Count(c.Registers, "register"), c.Distilled, c.NoClass)
	known := []string{"", GELUTanh}
	wrong.Check(slices.Contains(known, c.Activation), "activation: found %q, want one of %q", c.Activation, known)
	return wrong.Err("vit config")
}

// ConfigOf reads the sizes from the weights themselves, in timm's keys (see Keys), and which tokens and layers there
// are. No weight tells the heads: they are those of the published model of that width, and 0 where it is the width of
// none. ImageSize is what the positions stand for.
func ConfigOf(src weights.Source) (Config, error) {
	shapes := weights.ShapesOf(src)
	patch := shapes.Of("patch_embed.proj.weight", 4) // [C, 3, p, p]
	c := Config{
		PatchSize: patch[3], Width: patch[0], Heads: headsOf(patch[0]), Layers: shapes.Blocks("blocks."),
		MLP:     shapes.Of("blocks.0.mlp.fc2.weight", 2)[1],
		NoClass: !shapes.Has("cls_token"), Distilled: shapes.Has("dist_token"), LayerScale: shapes.Has("blocks.0.ls1.gamma"),
	}
	if shapes.Has("register_tokens") {
		c.Registers = shapes.Of("register_tokens", 3)[1] // [1, R, C]
	}
	c.Gated = shapes.Of("blocks.0.mlp.fc1.weight", 2)[0] == 2*c.MLP
	positions := shapes.Of("pos_embed", 3)[1] // [1, T, C]
	c.ImageSize = c.PatchSize * shapes.GridSide("pos_embed", positions, c.placed())
	if err := shapes.Err(); err != nil {
		return Config{}, fmt.Errorf("read a ViT's sizes: %w", err)
	}
	known := c // whether any number of heads would do
	known.Heads = max(1, c.Heads)
	return c, known.Validate()
}
