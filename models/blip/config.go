package blip

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"captioner/weights"
)

// Config is the shape of the vision tower.
type Config struct {
	ImageSize int64 `json:"image_size"` // side of the pictures in pixels
	PatchSize int64 `json:"patch_size"`
	Width     int64 `json:"width"` // of a token
	Heads     int64 `json:"heads"`
	Layers    int   `json:"layers"`
	MLP       int64 `json:"mlp_width"`
}

// Base is the tower of BLIP base as LAVIS's blip_feature_extractor has it: ViT-B/16 at 224 pixels, 86M parameters.
func Base() Config {
	return Config{ImageSize: 224, PatchSize: 16, Width: 768, Heads: 12, Layers: 12, MLP: 3072}
}

// headSize is the channels of a head in all published models.
const headSize = 64

// Tokens is how many tokens of which width the tower gives for one picture: the class first, then one a patch.
func (c Config) Tokens() (tokens, width int64) { return 1 + c.side()*c.side(), c.Width }

// side is the number of patches in a row.
func (c Config) side() int64 { return c.ImageSize / c.PatchSize }

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
		errs = append(errs, fmt.Errorf("heads: found %d, want a divisor of %d channels", c.Heads, c.Width))
	}
	if c.PatchSize < 1 || c.ImageSize < c.PatchSize {
		errs = append(errs, fmt.Errorf("patch size and image size: found %d and %d, want 1 or more and at least a patch", c.PatchSize, c.ImageSize))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("blip config: %w", err)
	}
	return nil
}

// ConfigOf reads the sizes from the weights themselves, in LAVIS's keys (see Keys). Heads are of 64 channels, which no weight tells: for a
// model that differs, change the field.
func ConfigOf(src weights.Source) (Config, error) {
	var err error
	shape := func(name string, rank int) []int64 {
		t, failed := src.Tensor(name)
		if failed == nil && len(t.Shape) != rank {
			failed = fmt.Errorf("tensor %q: shape %v, want %d dimensions", name, t.Shape, rank)
		}
		if failed != nil {
			err = errors.Join(err, failed)
			return make([]int64, rank)
		}
		return t.Shape
	}
	patch := shape("patch_embed.proj.weight", 4) // [C, 3, p, p]
	places := shape("pos_embed", 3)[1] - 1       // [1, T, C]
	c := Config{PatchSize: patch[3], Width: patch[0], Heads: max(1, patch[0]/headSize), Layers: countBlocks(src.Names()),
		MLP: shape("blocks.0.mlp.fc1.weight", 2)[0]}
	side := int64(math.Round(math.Sqrt(float64(max(places, 0)))))
	if err == nil && side*side != places {
		err = fmt.Errorf("tensor %q: %d positions, want a square and one more", "pos_embed", places+1)
	}
	if err != nil {
		return Config{}, fmt.Errorf("read blip's sizes: %w", err)
	}
	c.ImageSize = side * c.PatchSize
	return c, c.Validate()
}

// countBlocks is how many numbered blocks there are. A number beyond the count of names is no block of a whole model: the strict load says so.
func countBlocks(names []string) int {
	n := 0
	for _, name := range names {
		rest, ok := strings.CutPrefix(name, "blocks.")
		number, _, _ := strings.Cut(rest, ".")
		if i, err := strconv.Atoi(number); ok && err == nil && i >= n && i < len(names) {
			n = i + 1
		}
	}
	return n
}

// Keys shows a checkpoint's vision tower under LAVIS's names without their prefix (patch_embed.proj.weight, blocks.0.attn.qkv.weight, …). It
// knows, by their names, those of
//   - LAVIS and BLIP's authors: below "visual_encoder.";
//   - Hugging Face's BlipModel and its kin: below "vision_model.";
//
// each also below a prefix, such as "model." in the published .pth, outside of which everything is left out. The view owns src.
func Keys(src weights.Source) (weights.Source, error) {
	names := src.Names()
	for _, name := range names {
		if prefix, ok := strings.CutSuffix(name, "visual_encoder.cls_token"); ok {
			return weights.Rename(src, weights.Prefix(prefix+"visual_encoder.", ""))
		}
		if prefix, ok := strings.CutSuffix(name, "vision_model.embeddings.class_embedding"); ok && slices.Contains(names, prefix+faceQKV) {
			rename := weights.Patterns(facePatterns...)
			return weights.Rename(src, func(name string) (string, bool) {
				rest, ok := strings.CutPrefix(name, prefix+"vision_model.")
				if !ok {
					return "", false
				}
				if ours, ok := rename(rest); ok {
					return ours, true
				}
				return rest, true // unknown: the strict load names it
			})
		}
	}
	return nil, fmt.Errorf("read blip's weights: found %d tensors, none of them %q or %q: want a checkpoint of LAVIS or Hugging Face",
		len(names), "visual_encoder.cls_token", faceQKV)
}

// faceQKV tells Hugging Face's BLIP from its CLIP, whose queries, keys and values are apart.
const faceQKV = "vision_model.encoder.layers.0.self_attn.qkv.weight"

// facePatterns are Hugging Face's names and LAVIS's.
var facePatterns = []string{
	"embeddings.class_embedding", "cls_token",
	"embeddings.position_embedding", "pos_embed",
	"embeddings.patch_embedding.*", "patch_embed.proj.*",
	"encoder.layers.*.layer_norm1.*", "blocks.*.norm1.*",
	"encoder.layers.*.layer_norm2.*", "blocks.*.norm2.*",
	"encoder.layers.*.self_attn.qkv.*", "blocks.*.attn.qkv.*",
	"encoder.layers.*.self_attn.projection.*", "blocks.*.attn.proj.*",
	"encoder.layers.*.mlp.*.*", "blocks.*.mlp.*.*",
	"post_layernorm.*", "norm.*",
}
