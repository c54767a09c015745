package clip

import (
	"fmt"
	"slices"

	"captioner/models/encoder"
	"captioner/weights"
	"captioner/weights/mistakes"
)

// Config is the shape of a model.
type Config struct {
	EmbedDim  int64  `json:"embed_dim"`  // of the space that images and texts share; 0: the features are not projected
	QuickGELU bool   `json:"quick_gelu"` // x sigmoid(1.702 x), as in OpenAI's models; else GELU, as in most of OpenCLIP's
	Vision    Vision `json:"vision_cfg"`
	Text      *Text  `json:"text_cfg,omitempty"` // nil: no text tower
}

// Vision is the shape of the image tower: a ResNet where Stages are given, else a ViT.
type Vision struct {
	ImageSize int64 `json:"image_size"` // side of the images in pixels
	Width     int64 `json:"width"`      // of a ViT's tokens; of a ResNet's stem
	Heads     int64 `json:"heads"`      // of attention; in a ResNet, of the pool

	Layers    int   `json:"layers,omitempty"`     // ViT
	PatchSize int64 `json:"patch_size,omitempty"` // ViT
	MLP       int64 `json:"mlp_width,omitempty"`  // ViT
	// Bare is a ViT without the norm and the projection behind its blocks: its tokens are raw, and something else pools
	// them.
	Bare bool `json:"bare,omitempty"`

	Stages []int `json:"stages,omitempty"` // ResNet: blocks of each of the four stages
}

// Text is the shape of the text tower.
type Text struct {
	Context   int64 `json:"context_length"` // tokens of the longest text
	VocabSize int64 `json:"vocab_size"`
	Width     int64 `json:"width"`
	Heads     int64 `json:"heads"`
	Layers    int   `json:"layers"`
	MLP       int64 `json:"mlp_width"`
}

// ViTB32 is OpenAI's ViT-B/32: 151M parameters, of which the image tower has 88M.
func ViTB32() Config { return vit(512, 224, 12, 768, 32, 512) }

// ViTB16 is OpenAI's ViT-B/16: 150M parameters.
func ViTB16() Config { return vit(512, 224, 12, 768, 16, 512) }

// ViTL14 is OpenAI's ViT-L/14: 428M parameters.
func ViTL14() Config { return vit(768, 224, 24, 1024, 14, 768) }

// ViTL14x336 is OpenAI's ViT-L/14@336px: ViT-L/14 for larger images.
func ViTL14x336() Config { return vit(768, 336, 24, 1024, 14, 768) }

// RN50 is OpenAI's RN50: 102M parameters.
func RN50() Config { return resnet(1024, 224, []int{3, 4, 6, 3}, 64, 512) }

// RN101 is OpenAI's RN101: 120M parameters.
func RN101() Config { return resnet(512, 224, []int{3, 4, 23, 3}, 64, 512) }

// RN50x4 is OpenAI's RN50x4: 178M parameters.
func RN50x4() Config { return resnet(640, 288, []int{4, 6, 10, 6}, 80, 640) }

// RN50x16 is OpenAI's RN50x16: 291M parameters.
func RN50x16() Config { return resnet(768, 384, []int{6, 8, 18, 8}, 96, 768) }

// RN50x64 is OpenAI's RN50x64: 623M parameters.
func RN50x64() Config { return resnet(1024, 448, []int{3, 15, 36, 10}, 128, 1024) }

func vit(embed, size int64, layers int, width, patch, text int64) Config {
	return Config{EmbedDim: embed, QuickGELU: true, Text: openAIText(text),
		Vision: Vision{
			ImageSize: size,
			Width:     width,
			Heads:     width / headSize,
			Layers:    layers,
			PatchSize: patch,
			MLP:       4 * width,
		}}
}

func resnet(embed, size int64, stages []int, width, text int64) Config {
	return Config{EmbedDim: embed, QuickGELU: true, Text: openAIText(text),
		Vision: Vision{ImageSize: size, Width: width, Heads: width * shrink / headSize, Stages: stages}}
}

func openAIText(width int64) *Text {
	return &Text{Context: 77, VocabSize: 49408, Width: width, Heads: width / headSize, Layers: 12, MLP: 4 * width}
}

const (
	headSize = 64 // channels of a head in all of OpenAI's models
	// shrink is the pixels a side of one position of a ResNet's last map, and how many times more channels than the stem
	// that map has.
	shrink = 32
)

// IsResNet says whether the image tower is a ModifiedResNet.
func (c Config) IsResNet() bool { return len(c.Vision.Stages) > 0 }

// WithoutText is c with the image tower only.
func (c Config) WithoutText() Config {
	c.Text = nil
	return c
}

// Pooled is the width of what EncodeImage gives.
func (c Config) Pooled() int64 {
	if c.EmbedDim > 0 {
		return c.EmbedDim
	}
	return c.Vision.Width
}

// A Form says at which point of the image tower its tokens are taken, before they are pooled to one.
type Form string

// The forms.
const (
	// Raw is what the last block gives: of a ViT with the class token first, of a ResNet one for each position of the map.
	Raw    Form = "raw"
	Normed Form = "normed" // ViT: after ln_post, which the published model applies to the class token alone
	// Projected is in the space of EncodeImage, whose value comes first: all tokens through ln_post and proj, or through
	// the pool.
	Projected Form = "projected"
)

// Tokens is how many tokens of which width the image tower gives for one image of ImageSize in form f.
func (c Config) Tokens(f Form) (tokens, width int64, err error) {
	v := c.Vision
	width = v.Width
	if c.IsResNet() {
		side := v.ImageSize / shrink
		tokens, width = side*side, v.Width*shrink
		if f == Projected {
			tokens++
		}
	} else {
		side := v.ImageSize / v.PatchSize
		tokens = 1 + side*side
	}
	switch {
	case f != Raw && f != Normed && f != Projected:
		return 0, 0, fmt.Errorf("clip tokens: form %q, want %q, %q or %q", f, Raw, Normed, Projected)
	case f == Normed && c.IsResNet():
		return 0, 0, fmt.Errorf(
			"clip tokens: form %q of a ResNet, which has no such norm, want %q or %q",
			f,
			Raw,
			Projected,
		)
	case f == Normed && c.Vision.Bare:
		return 0, 0, fmt.Errorf("clip tokens: form %q of a bare ViT, which has no such norm, want %q", f, Raw)
	case f == Projected && c.EmbedDim == 0:
		return 0, 0, fmt.Errorf("clip tokens: form %q of a model without projection, want %q or %q", f, Raw, Normed)
	case f == Projected:
		width = c.EmbedDim
	}
	return tokens, width, nil
}

// Validate returns every problem at once.
func (c Config) Validate() error {
	var wrong mistakes.List
	wrong.Positive("vision: width", c.Vision.Width)
	if c.IsResNet() {
		c.Vision.validateResNet(&wrong)
		wrong.Positive("embed dim of a ResNet", c.EmbedDim)
	} else {
		c.Vision.validateViT(&wrong)
	}
	if t := c.Text; t != nil {
		wrong.Positive("embed dim of a model with text", c.EmbedDim)
		wrong.Positive("text: context length", t.Context)
		wrong.Positive("text: vocab size", t.VocabSize)
		wrong.Positive("text: width", t.Width)
		wrong.Positive("text: layers", int64(t.Layers))
		wrong.Positive("text: mlp width", t.MLP)
		wrong.Divides("text: heads", t.Heads, t.Width)
	}
	wrong.Check(!c.Vision.Bare || !c.IsResNet() && c.EmbedDim == 0,
		"vision: found a bare tower that projects, want a ViT without embed dim")
	wrong.AtLeast(0, "embed dim", c.EmbedDim)
	return wrong.Err("clip config")
}

func (v Vision) validateResNet(wrong *mistakes.List) {
	wrong.Divides("vision: heads", v.Heads, v.Width*shrink)
	wrong.Check(v.ImageSize >= shrink && v.ImageSize%shrink == 0, "vision: image size: found %d, want a multiple of %d",
		v.ImageSize, shrink)
	wrong.Check(len(v.Stages) == 4 && slices.Min(v.Stages) >= 1 && v.Width%2 == 0,
		"vision: stages and width: found %v and %d, want four stages of 1 or more and an even width", v.Stages, v.Width)
}

func (v Vision) validateViT(wrong *mistakes.List) {
	wrong.Divides("vision: heads", v.Heads, v.Width)
	wrong.Positive("vision: layers", int64(v.Layers))
	wrong.Positive("vision: mlp width", v.MLP)
	wrong.Check(v.PatchSize >= 1 && v.ImageSize >= v.PatchSize,
		"vision: patch size and image size: found %d and %d, want 1 or more and at least a patch", v.PatchSize,
		v.ImageSize)
}

// ConfigOf reads the sizes from the weights themselves, in OpenAI's keys (see Keys), as clip.load does. No weight tells
// the activation: it is QuickGELU, as in OpenAI's models, and GELU in towers that are as wide as OpenCLIP's alone. Nor
// does a weight tell the heads: they are those of the published models of that width, and 0 where a tower is as wide as
// none of them.
func ConfigOf(src weights.Source) (Config, error) {
	shapes := weights.ShapesOf(src)
	c := Config{QuickGELU: true}
	if shapes.Has("visual.class_embedding") {
		c.readViT(shapes)
		c.QuickGELU = !slices.Contains(wide, c.Vision.Width)
	} else {
		c.readResNet(shapes)
	}
	if shapes.Has("token_embedding.weight") {
		c.readText(shapes)
	}
	if err := shapes.Err(); err != nil {
		return Config{}, fmt.Errorf("read clip's sizes: %w", err)
	}
	known := c // whether any number of heads would do
	known.Vision.Heads = max(1, c.Vision.Heads)
	if c.Text != nil {
		text := *c.Text
		text.Heads = max(1, text.Heads)
		known.Text = &text
	}
	return c, known.Validate()
}

// HeadCount is the number of heads of the image tower, and the channels that they share.
func (c Config) HeadCount() (heads, width int64) {
	if c.IsResNet() {
		return c.Vision.Heads, c.Vision.Width * shrink
	}
	return c.Vision.Heads, c.Vision.Width
}

// WithHeads is c with another number of heads in its image tower.
func (c Config) WithHeads(n int64) encoder.Encoder {
	c.Vision.Heads = n
	return c
}

// wide are the image towers of OpenCLIP whose heads are wider than OpenAI's: ViT-H-14, ViT-g-14 and ViT-bigG-14. All
// have 16 heads.
var wide = []int64{1280, 1408, 1664}

// vitHeads is the number of heads of a published image tower of a width.
func vitHeads(width int64) int64 {
	if slices.Contains(wide, width) {
		return 16
	}
	return headsOf(width)
}

// headsOf is OpenAI's number for a width; 0 where that is none of theirs.
func headsOf(width int64) int64 {
	if width%headSize != 0 {
		return 0
	}
	return width / headSize
}

func (c *Config) readViT(shapes *weights.Shapes) {
	const positions, blocks = "visual.positional_embedding", "visual.transformer.resblocks."
	patch := shapes.Of("visual.conv1.weight", 4) // [C, 3, p, p]
	v := Vision{
		Width: patch[0], Heads: vitHeads(patch[0]), PatchSize: patch[3], Layers: shapes.Blocks(blocks),
		MLP: shapes.Of(blocks+"0.mlp.c_fc.weight", 2)[0],
	}
	v.ImageSize = v.PatchSize * shapes.GridSide(positions, shapes.Of(positions, 2)[0], 1)
	if shapes.Has("visual.proj") {
		c.EmbedDim = shapes.Of("visual.proj", 2)[1]
	}
	c.Vision = v
}

func (c *Config) readResNet(shapes *weights.Shapes) {
	const positions = "visual.attnpool.positional_embedding"
	v := Vision{Width: shapes.Of("visual.layer1.0.conv1.weight", 4)[0]}
	for i := range 4 {
		v.Stages = append(v.Stages, shapes.Blocks(fmt.Sprintf("visual.layer%d.", i+1)))
	}
	v.ImageSize = shrink * shapes.GridSide(positions, shapes.Of(positions, 2)[0], 1)
	v.Heads = headsOf(v.Width * shrink)
	c.EmbedDim = shapes.Of("visual.attnpool.c_proj.weight", 2)[0]
	c.Vision = v
}

func (c *Config) readText(shapes *weights.Shapes) {
	const blocks = "transformer.resblocks."
	table := shapes.Of("token_embedding.weight", 2) // [V, C]
	c.Text = &Text{
		Context: shapes.Of("positional_embedding", 2)[0], VocabSize: table[0], Width: table[1], Heads: headsOf(table[1]),
		Layers: shapes.Blocks(blocks), MLP: shapes.Of(blocks+"0.mlp.c_fc.weight", 2)[0],
	}
}
