package blip

import (
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
		Recognize: recognize, Open: open, Published: publishedName,
	}
}

// Tower is the sizes of the vision tower. It is a ViT.
type Tower struct{ vit.Config }

var _ encoder.Encoder = Tower{}

// Key is "blip".
func (Tower) Key() string { return "blip" }

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
