// Package git is GIT, the Generative Image-to-text Transformer (Wang et al. 2022): a text follows the tokens of its
// image in one sequence, whose image part looks at itself alone and whose text looks at the image and at what was
// written before it. The layers are BERT's (package bert), the vision tower is CLIP's (package clip). Keys are those
// of Hugging Face's GitForCausalLM (transformers v4.57.1, models/git/modeling_git.py).
//
// It does not do: videos, whose frames have embeddings of their own.
//
// Letters in shapes: B rows (texts), T positions of a text, P tokens of an image, M width of the vision tower, C
// width, V vocabulary.
package git

import (
	"encoding/json"
	"fmt"
	"strings"

	"captioner/models/batch"
	"captioner/models/bert"
	"captioner/models/clip"
	"captioner/models/family"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
	"captioner/weights/plural"
)

// Config is the shape of a model.
type Config struct {
	Text   Text
	Vision clip.Config
}

// Text is the shape of the text side, which a model file holds as JSON.
type Text struct {
	bert.Config
	Image        int64   `json:"image_hidden_size"`    // channels of the vision tower's tokens
	ImageEpsilon float64 `json:"image_layer_norm_eps"` // of the norm behind their projection
}

// Model is the text side: the projection of the image's tokens, the layers, the output layer.
type Model struct {
	Text    Text
	BERT    *bert.Model  `key:"git"`
	Project nn.Linear    `key:"git.visual_projection.visual_projection.0"` // [C, M]
	Norm    nn.LayerNorm `key:"git.visual_projection.visual_projection.1"`
	Output  nn.Linear    `key:"output"` // [V, C]
}

// videoError says that a model looks at so many frames at once, and by what that is seen.
func videoError(frames int, by string) error {
	return &family.ForeignError{
		Found: fmt.Sprintf("a GIT for videos of %s (%s)", plural.Count(frames, "frame"), by),
		Want:  "one for images", Remedy: "microsoft/git-base-coco and git-large-coco caption images",
	}
}

// ParseConfig reads a config.json of GitForCausalLM. What it leaves out has the values of Hugging Face's GitConfig;
// settings that would change the network and that this package does not have are refused.
func ParseConfig(b []byte) (Config, error) {
	c := Config{Text: Text{Config: bert.Config{VocabSize: 30522, Width: 768, Layers: 6, Heads: 12, Inner: 3072,
		Positions: 1024, Activation: "gelu", Epsilon: 1e-12}}}
	vision := visionConfig{Width: 768, Inner: 3072, Layers: 12, Heads: 12, Channels: 3, ImageSize: 224, PatchSize: 16,
		Activation: "quick_gelu", Epsilon: 1e-5}
	other := struct {
		Vision    *visionConfig `json:"vision_config"`
		Positions string        `json:"position_embedding_type"`
		Frames    *int          `json:"num_image_with_embedding"`
	}{Vision: &vision, Positions: "absolute"}
	for _, to := range []any{&c.Text.Config, &other} {
		if err := json.Unmarshal(b, to); err != nil {
			return c, fmt.Errorf("git config: %w", err)
		}
	}
	switch {
	case other.Frames != nil:
		return c, videoError(*other.Frames, "num_image_with_embedding")
	case other.Positions != "absolute":
		return c, fmt.Errorf("git config: found position_embedding_type %q, want absolute", other.Positions)
	}
	c.Text.Memory = 0
	c.Text.Image, c.Text.ImageEpsilon = vision.Width, vision.Epsilon
	var err error
	if c.Vision, err = vision.clip(); err != nil {
		return c, err
	}
	if err := c.Text.Config.Validate(); err != nil {
		return c, fmt.Errorf("git config: %w", err)
	}
	return c, c.Vision.Validate()
}

// visionConfig is Hugging Face's GitVisionConfig.
type visionConfig struct {
	Width      int64   `json:"hidden_size"`
	Inner      int64   `json:"intermediate_size"`
	Layers     int     `json:"num_hidden_layers"`
	Heads      int64   `json:"num_attention_heads"`
	Channels   int     `json:"num_channels"`
	ImageSize  int64   `json:"image_size"`
	PatchSize  int64   `json:"patch_size"`
	Activation string  `json:"hidden_act"`
	Epsilon    float64 `json:"layer_norm_eps"`
}

// clip is the same in the words of package clip.
func (v visionConfig) clip() (clip.Config, error) {
	switch {
	case v.Channels != 3:
		return clip.Config{}, fmt.Errorf("git config: found %s of an image, want 3", plural.Count(v.Channels, "channel"))
	case v.Activation != "quick_gelu" && v.Activation != "gelu":
		const message = "git config: found hidden_act %q of the vision tower, want quick_gelu or gelu"
		return clip.Config{}, fmt.Errorf(message, v.Activation)
	case v.Epsilon != 1e-5:
		return clip.Config{}, fmt.Errorf("git config: found layer_norm_eps %g of the vision tower, want 1e-05", v.Epsilon)
	}
	return clip.Config{QuickGELU: v.Activation == "quick_gelu", Vision: clip.Vision{ImageSize: v.ImageSize, Width: v.Width,
		Heads: v.Heads, Layers: v.Layers, PatchSize: v.PatchSize, MLP: v.Inner}}, nil
}

// New makes a model with unset weights; Load fills them. Run it inside torch.Do; Free releases it.
func New(t Text) (*Model, error) {
	m, err := bert.New(t.Config)
	if err != nil {
		return nil, err
	}
	return &Model{Text: t, BERT: m, Project: nn.NewLinear(t.Image, t.Width, true),
		Norm: nn.NewLayerNorm(t.Width, t.ImageEpsilon), Output: nn.NewLinear(t.Width, t.VocabSize, true)}, nil
}

// TextKeys shows the text side of a checkpoint, without any prefix before "git." and "output.", and without the
// vision tower (which clip.Keys finds). The view owns src.
func TextKeys(src weights.Source) (weights.Source, error) {
	const mark = "git.embeddings.word_embeddings.weight"
	for _, name := range src.Names() {
		prefix, ok := strings.CutSuffix(name, mark)
		if !ok {
			continue
		}
		return weights.Rename(src, func(name string) (string, bool) {
			rest, ok := strings.CutPrefix(name, prefix)
			apart := strings.HasPrefix(rest, "git.image_encoder.") || rest == "git.embeddings.position_ids"
			return rest, ok && !apart
		})
	}
	return nil, fmt.Errorf("read git's weights: found %s, none of them %q: want a checkpoint of Hugging Face",
		plural.Count(len(src.Names()), "tensor"), mark)
}

// Load fills the model from a checkpoint in the keys of TextKeys.
func (m *Model) Load(src weights.Source, o nn.LoadOptions) error { return nn.Load(m, src, o) }

// Prefix maps the tokens of images, those of the vision tower behind its last norm, [B, P, M] to [B, P, C].
func (m *Model) Prefix(features *torch.Tensor) *torch.Tensor {
	return m.Norm.Forward(m.Project.Forward(features))
}

// Logits gives the logits of the next token behind each of tokens [B, T] (int64): [B, T, V]. prefix is what Prefix
// gives.
func (m *Model) Logits(tokens, prefix *torch.Tensor) *torch.Tensor {
	t, p := tokens.Dim(1), prefix.Dim(1)
	x := torch.Cat(1, prefix, m.BERT.Embed(tokens)) // [B, P+T, C]
	x = m.BERT.Forward(x, nil, mask(p, t, tokens.Device()))
	return m.Output.Forward(x.Narrow(1, p, t))
}

// mask is GIT's: the first p positions look at each other, the t behind them at those, at themselves and at earlier
// ones: [p+t, p+t].
func mask(p, t int64, dev torch.Device) *torch.Tensor {
	causal := batch.Causal(p+t, dev)
	return torch.Cat(0, torch.Cat(1, torch.Zeros(torch.Float32, dev, p, p), causal.Narrow(0, 0, p).Narrow(1, p, t)),
		causal.Narrow(0, p, t))
}

// Free releases the weights.
func (m *Model) Free() { nn.Free(m) }
