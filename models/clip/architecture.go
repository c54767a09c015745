package clip

import (
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"strings"

	"captioner/data/image"
	"captioner/models/encoder"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
	"captioner/weights/plural"
)

// Architecture is CLIP's image tower as a vision encoder.
func Architecture() encoder.Architecture {
	return encoder.Architecture{
		Name: "CLIP", Key: "clip", Parse: encoder.Parse[Config],
		Classes:   []encoder.Class{{ModelType: "clip"}, {ModelType: "clip_vision_model"}, {ModelType: "open_clip"}},
		Recognize: func(src weights.Source) bool { _, _, ok := layout(src); return ok },
		Open:      open, Configure: configure, Published: publishedName, Activate: activate,
	}
}

var (
	_ encoder.Tunable   = Config{}
	_ encoder.Attention = Config{}
)

// Key is "clip".
func (c Config) Key() string { return "clip" }

// Side is the side of the images in pixels.
func (c Config) Side() int64 { return c.Vision.ImageSize }

// Memory is the kind that suits the tower.
func (c Config) Memory() string { return encoder.Patches }

// Shape is what a memory looks at.
func (c Config) Shape(m encoder.Memory, _ int64) (positions, channels int64, err error) {
	positions, channels, err = c.Tokens(c.form(m))
	switch {
	case err != nil:
		return 0, 0, err
	case m.Pooled() && c.Vision.Bare:
		return 0, 0, errors.New("clip: found a pooled memory of a bare tower, want one of tokens")
	case m.Pooled():
		return 1, c.Pooled(), nil
	case m.Kind == encoder.Grid && !c.IsResNet():
		positions-- // the class token has no position in the image
	}
	return positions, channels, nil
}

// form is the point of the tower that a memory's tokens are taken at.
func (c Config) form(m encoder.Memory) Form {
	switch {
	case m.Form != "":
		return Form(m.Form)
	case m.Kind == encoder.Patches && !c.IsResNet() && !c.Vision.Bare:
		return Normed
	}
	return Raw
}

// TakesRaw says whether a memory looks at a ViT's tokens as the last block gives them.
func (c Config) TakesRaw(m encoder.Memory) bool {
	return !c.IsResNet() && !m.Pooled() && c.form(m) == Raw
}

// Load reads the image tower for inference in type d.
func (c Config) Load(src weights.Source, o nn.LoadOptions, d torch.DType) (encoder.Network, error) {
	m, err := New(c.WithoutText())
	if err != nil {
		return nil, err
	}
	defer m.Free()
	if !c.IsResNet() { // large weights are converted one by one as they are packed; a ResNet's are folded first
		o.Stored = func(n string) bool {
			return strings.Contains(n, ".resblocks.") && strings.HasSuffix(n, "weight") && !strings.Contains(n, ".ln_")
		}
	}
	src, o.Half = unrounded(src)
	if err := m.Load(src, o); err != nil {
		return nil, err
	}
	return m.Encoder(d), nil
}

// Features gives what a memory looks at, [B, P, C] in float32, from normalized images [B, 3, ImageSize, ImageSize].
func (e *Encoder) Features(x *torch.Tensor, m encoder.Memory) *torch.Tensor {
	if m.Pooled() {
		return e.EncodeImage(x).Unsqueeze(1) // [B, E] -> [B, 1, E]
	}
	x, err := e.Tokens(x, e.Config.form(m)) // [B, T, C]
	if err != nil {
		torch.Fail("clip", "%v", err) // a valid configuration has no such form
	}
	if e.Config.IsResNet() {
		return x
	}
	return m.FromTokens(x, 1)
}

// TuneStages is the blocks of a ViT; a ResNet cannot be trained.
func (c Config) TuneStages() int {
	if c.IsResNet() {
		return 0
	}
	return c.Vision.Layers
}

// LoadTrainable reads the image tower for training.
func (c Config) LoadTrainable(src weights.Source, o nn.LoadOptions) (encoder.Trainable, error) {
	m, err := New(c.WithoutText())
	if err != nil {
		return nil, err
	}
	if err := m.Load(src, o); err != nil {
		m.Free()
		return nil, err
	}
	return trainable{m}, nil
}

// trainable is the image tower as an encoder that learns.
type trainable struct{ *Model }

func (t trainable) Module() any { return t.Model }

func (t trainable) Tunable(block int, m encoder.Memory) ([]nn.Param, error) {
	if m.Pooled() {
		return t.Model.Tunable(block, Projected)
	}
	return t.Model.Tunable(block, t.Config.form(m))
}

func (t trainable) Upper(x *torch.Tensor, block int, m encoder.Memory) *torch.Tensor {
	if m.Pooled() {
		return t.UpperImage(x, block).Unsqueeze(1) // [B, E] -> [B, 1, E]
	}
	return m.FromTokens(t.UpperTokens(x, block, t.Config.form(m)), 1)
}

// open describes a checkpoint of OpenAI, OpenCLIP or Hugging Face.
func open(src weights.Source) (encoder.Config, weights.Source, error) {
	theirs := IsHuggingFace(src)
	src, err := Keys(src)
	if err != nil {
		return encoder.Config{}, nil, err
	}
	c, err := ConfigOf(src)
	if err != nil {
		return encoder.Config{}, nil, err
	}
	named, err := weights.Rename(src, func(n string) (string, bool) {
		return encoder.Prefix + n, strings.HasPrefix(n, "visual.") && !strings.HasSuffix(n, ".num_batches_tracked")
	})
	if err != nil {
		return encoder.Config{}, nil, err
	}
	e := Describe(c)
	e.Preprocess.ScaleFirst = !theirs // Hugging Face's processor makes images RGB first
	e.Activation, e.Assumed = c.ActivationName(), !isOpenAI(src)
	return e, named, nil
}

// isOpenAI says whether a checkpoint is an archive as OpenAI publishes them, by the numbers that stand beside the
// weights. All of their models have QuickGELU.
func isOpenAI(src weights.Source) bool {
	names := src.Names()
	return slices.Contains(names, "input_resolution") && slices.Contains(names, "context_length")
}

// activate sets the activation of an encoder.
func activate(e *encoder.Config, name string) {
	c := e.Encoder.(Config)
	c.QuickGELU = name == encoder.QuickGELU
	e.Encoder, e.Architecture, e.Activation = c, nameOf(c), name
}

// ActivationName is the activation by its name.
func (c Config) ActivationName() string {
	if c.QuickGELU {
		return encoder.QuickGELU
	}
	return encoder.GELU
}

// models are OpenAI's, by the names that clip.load knows.
var models = map[string]func() Config{
	"ViT-B/32": ViTB32, "ViT-B/16": ViTB16, "ViT-L/14": ViTL14, "ViT-L/14@336px": ViTL14x336,
	"RN50": RN50, "RN101": RN101, "RN50x4": RN50x4, "RN50x16": RN50x16, "RN50x64": RN50x64,
}

// publishedName describes one of OpenAI's models by its name, with or without "clip:" before it.
func publishedName(name string) (encoder.Config, bool) {
	shape, ok := models[strings.TrimPrefix(name, "clip:")]
	if !ok {
		return encoder.Config{}, false
	}
	return Describe(shape()), true
}

// Describe is the image tower of c as an encoder, with the transform that clip.load gives for all of OpenAI's models.
func Describe(c Config) encoder.Config {
	c = c.WithoutText()
	return encoder.Config{
		Architecture: nameOf(c),
		Encoder:      c,
		Preprocess: image.Preprocess{
			Size: int(c.Vision.ImageSize), Fit: image.FitCrop, Mean: Mean, Std: Std, ScaleFirst: true,
		},
	}
}

// nameOf is the name of a publishedName model, or says the sizes.
func nameOf(c Config) string {
	for name, shape := range models {
		if reflect.DeepEqual(shape().WithoutText(), c) {
			return name
		}
	}
	if v := c.Vision; !c.IsResNet() {
		return fmt.Sprintf("CLIP ViT of %s, width %d, patches of %d", plural.Count(v.Layers, "layer"), v.Width, v.PatchSize)
	}
	return fmt.Sprintf("CLIP ResNet of stages %v, width %d", c.Vision.Stages, c.Vision.Width)
}

// visionConfig is the settings of Hugging Face's CLIPVisionConfig.
type visionConfig struct {
	Activation string `json:"hidden_act"`
	Heads      int64  `json:"num_attention_heads"`
	encoder.Sizes
}

// configure takes the settings of Hugging Face's CLIPConfig or CLIPVisionConfig, and of OpenCLIP's own file.
func configure(e *encoder.Config, beside encoder.Folder) error {
	c := e.Encoder.(Config)
	var config struct {
		Vision *visionConfig `json:"vision_config"` // of a CLIPModel
		visionConfig
	}
	switch err := encoder.ReadJSON(beside, "config.json", &config); {
	case err == nil:
		e.Assumed = false // what it leaves out is quick_gelu
		if config.Vision == nil {
			config.Vision = &config.visionConfig
		}
		if err := config.Vision.apply(&c); err != nil {
			return fmt.Errorf("read config.json: %w", err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	var open struct {
		Model struct {
			QuickGELU bool `json:"quick_gelu"`
			Vision    struct {
				HeadWidth int64 `json:"head_width"`
				Width     int64 `json:"width"`
			} `json:"vision_cfg"`
		} `json:"model_cfg"`
		Images encoder.OpenCLIPImages `json:"preprocess_cfg"`
	}
	switch err := encoder.ReadJSON(beside, "open_clip_config.json", &open); {
	case err == nil:
		sizes := encoder.Sizes{}
		if v := &open.Model.Vision; v.Width > 0 && !c.IsResNet() {
			sizes.Width = &v.Width
		}
		if err := sizes.Agree(c.Vision.Width, 0, 0, 0, 0); err != nil {
			return fmt.Errorf("read open_clip_config.json: %w", err)
		}
		e.Assumed = false
		c.QuickGELU = open.Model.QuickGELU
		if size := open.Model.Vision.HeadWidth; size > 0 {
			c.Vision.Heads = c.Vision.Width / size
		}
		if err := open.Images.Apply(e); err != nil {
			return fmt.Errorf("read open_clip_config.json: %w", err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	*e = encoder.Config{
		Architecture: nameOf(c), Encoder: c, Preprocess: e.Preprocess,
		Activation: c.ActivationName(), Assumed: e.Assumed,
	}
	return nil
}

// apply takes what no weight says.
func (v visionConfig) apply(c *Config) error {
	if v.Activation != "" { // left out, it is quick_gelu
		c.QuickGELU = v.Activation == "quick_gelu"
	}
	if v.Heads > 0 {
		c.Vision.Heads = v.Heads
	}
	return v.Agree(c.Vision.Width, int64(c.Vision.Layers), c.Vision.MLP, c.Vision.ImageSize, c.Vision.PatchSize)
}

// textHeads is the number of heads of a text tower of some width, by the files of Hugging Face or OpenCLIP beside the
// weights; 0 where they do not say.
func textHeads(beside encoder.Folder, width int64) (int64, error) {
	var config struct {
		Text struct {
			Width int64 `json:"hidden_size"`
			Heads int64 `json:"num_attention_heads"`
		} `json:"text_config"`
	}
	if err := encoder.ReadOptional(beside, "config.json", &config); err != nil {
		return 0, err
	}
	if t := config.Text; t.Width == width && t.Heads > 0 {
		return t.Heads, nil
	}
	var open struct {
		Model struct {
			Text struct {
				Width int64 `json:"width"`
				Heads int64 `json:"heads"`
			} `json:"text_cfg"`
		} `json:"model_cfg"`
	}
	err := encoder.ReadOptional(beside, "open_clip_config.json", &open)
	if t := open.Model.Text; t.Width == width {
		return t.Heads, err
	}
	return 0, err
}

// Complete adds to the sizes of both towers what no weight says: what the files beside the weights say, for certain
// where own is set, and the heads and the activation that the user gave. It describes the image tower too, whose
// preprocessing is OpenAI's, with the numbers of the files. The source has the keys that Keys gives.
func Complete(
	c Config, src weights.Source, beside encoder.Folder, own bool, h *encoder.Heads,
) (Config, encoder.Config, error) {
	e := Describe(c)
	images := e.Preprocess
	e.Activation, e.Assumed = c.ActivationName(), !isOpenAI(src)
	if err := Architecture().Complete(&e, beside, own, h, encoder.CLIPPart); err != nil {
		return c, e, err
	}
	images.Mean, images.Std = e.Preprocess.Mean, e.Preprocess.Std
	e.Preprocess = images
	full := e.Encoder.(Config)
	if c.Text == nil {
		return full, e, nil
	}
	text := *c.Text
	said, err := textHeads(beside, text.Width)
	if err != nil && own {
		return c, e, err
	}
	if text.Heads, err = h.Choose(encoder.TextPart, text.Width, said, text.Heads); err != nil {
		return c, e, err
	}
	full.Text = &text
	return full, e, full.Validate()
}
