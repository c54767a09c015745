package encoder

import (
	"fmt"
	"slices"
	"strings"

	"captioner/data/image"
	"captioner/weights/plural"
)

// processorClass is what one of Hugging Face's image processors does where its file does not say.
type processorClass struct {
	name      string // "CLIP" of CLIPImageProcessor, CLIPImageProcessorFast and CLIPFeatureExtractor
	shorter   bool   // a size that is one number is that of the shorter side
	filter    string // see image.Preprocess
	mean, std [3]float64
}

var (
	clipMean, clipStd = [3]float64{0.48145466, 0.4578275, 0.40821073}, [3]float64{0.26862954, 0.26130258, 0.27577711}
	half              = [3]float64{0.5, 0.5, 0.5}
)

// processorClasses are the image processors that do what image.Preprocess does (transformers v4.57.1).
var processorClasses = []processorClass{
	{name: "CLIP", shorter: true, mean: clipMean, std: clipStd},
	{name: "Blip", mean: clipMean, std: clipStd},
	{name: "ViT", filter: image.FilterLinear, mean: half, std: half},
	{name: "DeiT", mean: half, std: half},
	{name: "Beit", mean: half, std: half},
	{name: "Siglip", mean: half, std: half},
	{name: "Bit", shorter: true, mean: clipMean, std: clipStd},
}

// class finds the row of a processor's class; nil where the file names none.
func (p processor) class() (*processorClass, error) {
	kind := p.kind()
	if kind == "" {
		return nil, nil
	}
	name := strings.TrimSuffix(strings.TrimSuffix(kind, "Fast"), "ImageProcessor")
	name = strings.TrimSuffix(name, "FeatureExtractor")
	i := slices.IndexFunc(processorClasses, func(c processorClass) bool { return c.name == name })
	if i < 0 {
		var known []string
		for _, c := range processorClasses {
			known = append(known, c.name+"ImageProcessor")
		}
		return nil, fmt.Errorf("found the image_processor_type %s, want %s", kind, plural.Or(known))
	}
	return &processorClasses[i], nil
}
