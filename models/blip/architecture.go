package blip

import (
	"fmt"
	"slices"
	"strings"

	"captioner/data/image"
	"captioner/models/encoder"
	"captioner/models/vit"
	"captioner/weights"
)

// Architecture is BLIP's vision tower as a vision encoder.
func Architecture() encoder.Architecture {
	return encoder.Architecture{
		Name: "BLIP", Key: "blip", Parse: encoder.Parse[Tower],
		Classes:   []encoder.Class{{ModelType: "blip"}, {ModelType: "blip_vision_model"}},
		Recognize: recognize, Open: open, Configure: readHeads, Published: publishedName,
	}
}

// Tower is the sizes of the vision tower. It is a ViT.
type Tower struct{ vit.Config }

var _ encoder.Attention = Tower{}

// Key is "blip".
func (Tower) Key() string { return "blip" }

// WithHeads is t with another number of heads.
func (t Tower) WithHeads(n int64) encoder.Encoder {
	t.Heads = n
	return t
}

// readHeads takes from Hugging Face's BlipConfig or BlipVisionConfig what no weight says.
func readHeads(e *encoder.Config, beside encoder.Folder) error {
	type vision struct {
		encoder.Sizes
		Heads int64 `json:"num_attention_heads"`
	}
	var config struct {
		Vision *vision `json:"vision_config"`
		vision
	}
	if err := encoder.ReadOptional(beside, "config.json", &config); err != nil {
		return err
	}
	if config.Vision == nil {
		config.Vision = &config.vision
	}
	t := e.Encoder.(Tower)
	if err := config.Vision.Agree(t.Width, int64(t.Layers), t.MLP, t.ImageSize, t.PatchSize); err != nil {
		return fmt.Errorf("read config.json: %w", err)
	}
	if config.Vision.Heads > 0 {
		e.Encoder = t.WithHeads(config.Vision.Heads)
	}
	return nil
}

// recognize tells BLIP from CLIP, which has some of Hugging Face's names in common with it.
func recognize(src weights.Source) bool {
	return slices.ContainsFunc(src.Names(), func(name string) bool {
		return strings.HasSuffix(name, "visual_encoder.cls_token") || strings.HasSuffix(name, huggingFaceQKV)
	})
}

// open describes a checkpoint of LAVIS, of BLIP's authors or of Hugging Face.
func open(src weights.Source) (encoder.Config, weights.Source, error) {
	src, err := Keys(src)
	if err != nil {
		return encoder.Config{}, nil, err
	}
	c, err := vit.ConfigOf(src)
	if err != nil {
		return encoder.Config{}, nil, err
	}
	named, err := weights.Rename(src, weights.Prefix("", encoder.Prefix))
	return Describe(c), named, err
}

// publishedName describes blip:base.
func publishedName(name string) (encoder.Config, bool) { return Describe(Base()), name == baseName }

const baseName = "blip:base" // as clip-text-decoder calls it

// Describe is a vision tower as an encoder, with the preprocessing of LAVIS's feature extractor.
func Describe(c vit.Config) encoder.Config {
	e := encoder.Config{
		Architecture: baseName,
		Encoder:      Tower{c},
		Preprocess:   image.Preprocess{Size: int(c.ImageSize), Fit: image.FitSquash, Mean: Mean, Std: Std},
	}
	if c != Base() {
		e.Architecture = "BLIP ViT" + c.Sizes()
	}
	return e
}
