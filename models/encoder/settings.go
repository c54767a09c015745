package encoder

import (
	"cmp"

	"captioner/data/image"
)

// ProcessorSettings are those of one of Hugging Face's image processors that does what p says: the way back from
// ReadProcessor. class is its name: "CLIPImageProcessor".
func ProcessorSettings(class string, p image.Preprocess) map[string]any {
	square := map[string]int{"height": p.Size, "width": p.Size}
	c := map[string]any{
		"image_processor_type": class,
		"do_convert_rgb":       true,
		"do_resize":            true,
		"size":                 square,
		"resample":             3, // bicubic
		"do_center_crop":       false,
		"do_rescale":           true,
		"rescale_factor":       1. / 255,
		"do_normalize":         true,
		"image_mean":           over255(p.Mean),
		"image_std":            over255(p.Std),
	}
	if p.Filter == image.FilterLinear {
		c["resample"] = 2
	}
	before := cmp.Or(p.Resize, p.Size) // the middle is cut out
	switch {
	case p.Fit == image.FitCrop:
		c["size"], c["do_center_crop"], c["crop_size"] = map[string]int{"shortest_edge": before}, true, square
	case before != p.Size:
		c["size"], c["do_center_crop"], c["crop_size"] = map[string]int{"height": before, "width": before}, true, square
	}
	return c
}

func over255(v [3]float64) []float64 { return []float64{v[0] / 255, v[1] / 255, v[2] / 255} }
