package encoder

import (
	"cmp"
	"encoding/json"
	"fmt"

	"captioner/data/image"
)

// OpenCLIPImages are the settings of images in open_clip_config.json, preprocess_cfg (open_clip 3.3.0, transform.py).
// Its size is that of the model, which the weights say.
type OpenCLIPImages struct {
	Mean   json.RawMessage `json:"mean"`
	Std    json.RawMessage `json:"std"`
	Filter string          `json:"interpolation"`
	Resize string          `json:"resize_mode"`
}

// Apply takes what they say into c: what they leave out is c's own. What image.Preprocess does not do is refused.
func (o OpenCLIPImages) Apply(c *Config) error {
	mean, err := perChannel("mean", o.Mean)
	std, err2 := perChannel("std", o.Std)
	if err := cmp.Or(err, err2); err != nil {
		return err
	}
	c.Normalize(mean, std)
	switch o.Resize {
	case "", "shortest":
	case "squash":
		c.Preprocess.Fit = image.FitSquash
	default:
		return fmt.Errorf("found resize_mode %.60q, want shortest or squash", o.Resize)
	}
	switch o.Filter {
	case "", "bicubic", "random": // random is for training alone
	case "bilinear":
		c.Preprocess.Filter = image.FilterLinear
	default:
		return fmt.Errorf("found interpolation %.60q, want bicubic, bilinear or random", o.Filter)
	}
	return nil
}
