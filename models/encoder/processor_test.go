package encoder

import (
	"io/fs"
	"math"
	"strings"
	"testing"

	"captioner/data/image"
)

// processorFile is a folder with one preprocessor_config.json.
type processorFile string

func (p processorFile) Read(name string) ([]byte, error) {
	if name != "preprocessor_config.json" {
		return nil, fs.ErrNotExist
	}
	return []byte(p), nil
}

// What a processor's file leaves out is what its class does, and sizes, means and factors have all their spellings
// (the expected numbers are those of transformers 4.57.1).
func TestReadProcessor(t *testing.T) {
	own := image.Preprocess{Size: 32, Fit: image.FitSquash, Mean: [3]float64{1, 2, 3}, Std: [3]float64{4, 5, 6}}
	const crop = `"do_center_crop": true, "crop_size": 32`
	for _, tt := range []struct {
		name, text, fit, filter string
		resize                  int
		mean, std               float64 // of the first channel
	}{
		{"nothing", `{}`, image.FitSquash, "", 0, 1, 4},
		{"CLIP's own mean", `{"image_processor_type": "CLIPImageProcessorFast", "size": [32, 32]}`,
			image.FitSquash, "", 0, 0.48145466 * 255, 0.26862954 * 255},
		{"ViT's own mean and filter", `{"feature_extractor_type": "ViTFeatureExtractor", "size": 32}`,
			image.FitSquash, image.FilterLinear, 0, 127.5, 127.5},
		{"a filter that is said", `{"image_processor_type": "ViTImageProcessor", "resample": 3}`,
			image.FitSquash, "", 0, 127.5, 127.5},
		{"a number is CLIP's shorter side", `{"image_processor_type": "CLIPImageProcessor", "size": 40, ` + crop + `}`,
			image.FitCrop, "", 40, 0.48145466 * 255, 0.26862954 * 255},
		{"a number is BEiT's both sides", `{"feature_extractor_type": "BeitFeatureExtractor", "size": 40, ` + crop + `}`,
			image.FitSquash, "", 40, 127.5, 127.5},
		{"one mean of all channels", `{"image_mean": 0.5, "image_std": [0.25, 0.5, 0.5]}`,
			image.FitSquash, "", 0, 127.5, 63.75},
		{"bytes as they are", `{"do_rescale": false, "image_mean": [100, 1, 1], "image_std": 50}`,
			image.FitSquash, "", 0, 100, 50},
		{"another factor", `{"rescale_factor": 0.01, "image_mean": 0.5, "image_std": 0.2}`, image.FitSquash, "", 0, 50, 20},
		{"a factor of 1/255 as it is rounded", `{"rescale_factor": 0.00392156862745098, "image_mean": 0.5}`,
			image.FitSquash, "", 0, 127.5, 4},
		{"not normalized", `{"do_normalize": false, "image_mean": 0.5}`, image.FitSquash, "", 0, 0, 255},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := Config{Preprocess: own}
			if err := c.ReadProcessor(processorFile(tt.text)); err != nil {
				t.Fatal(err)
			}
			p := c.Preprocess
			near := func(a, b float64) bool { return math.Abs(a-b) < 1e-9 }
			if p.Fit != tt.fit || p.Filter != tt.filter || p.Resize != tt.resize || !p.CutGrey ||
				!near(p.Mean[0], tt.mean) || !near(p.Std[0], tt.std) {
				t.Errorf("got %+v, want %q, filter %q, resize %d, mean %g, std %g",
					p, tt.fit, tt.filter, tt.resize, tt.mean, tt.std)
			}
		})
	}
}

func TestReadProcessorRefusesByName(t *testing.T) {
	for text, want := range map[string]string{
		`{"do_resize": false}`: "found do_resize false",
		`{"resample": 1}`:      "found resample 1",
		`{"image_processor_type": "ConvNextImageProcessor"}`:         "found the image_processor_type ConvNextImageProcessor",
		`{"image_mean": [0.5]}`:                                      "found image_mean [0.5], want three numbers",
		`{"rescale_factor": 0}`:                                      "found rescale_factor 0",
		`{"size": "32"}`:                                             `found "32", want a square`,
		`{"size": [32, 48]}`:                                         "found [32,48], want a square",
		`{"image_processor_type": "CLIPImageProcessor", "size": 32}`: "found size 32 without a crop",
	} {
		c := Config{Preprocess: image.Preprocess{Size: 32, Fit: image.FitSquash}}
		if err := c.ReadProcessor(processorFile(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q in it", text, err, want)
		}
	}
}
