package encoder

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"

	"captioner/data/image"
)

// processor is the settings of one of Hugging Face's image processors.
type processor struct {
	Resize   *bool           `json:"do_resize"`
	Size     json.RawMessage `json:"size"`
	Resample *int            `json:"resample"`
	Crop     *bool           `json:"do_center_crop"`
	CropSize json.RawMessage `json:"crop_size"`
	Rescale  *bool           `json:"do_rescale"`
	Factor   *float64        `json:"rescale_factor"`
	Normal   *bool           `json:"do_normalize"`
	Mean     json.RawMessage `json:"image_mean"`
	Std      json.RawMessage `json:"image_std"`
	Class    string          `json:"image_processor_type"`
	OldClass string          `json:"feature_extractor_type"`
}

// ReadProcessor takes from preprocessor_config.json what is done to images: both sides brought to the encoder's size,
// or the shorter one and the middle cut out, by bicubic or bilinear, then numbers from mean and deviation. What the
// file leaves out is what the class does that it names, or c's own. Anything else is refused.
func (c *Config) ReadProcessor(beside Folder) error {
	var p processor
	if err := ReadOptional(beside, "preprocessor_config.json", &p); err != nil {
		return err
	}
	if err := p.apply(c); err != nil {
		return fmt.Errorf("read preprocessor_config.json: %w", err)
	}
	return nil
}

func off(b *bool) bool { return b != nil && !*b }

func (p processor) apply(c *Config) error {
	if off(p.Resize) {
		return errors.New("found do_resize false, want images that are resized")
	}
	class, err := p.class()
	if err != nil {
		return err
	}
	c.Preprocess.CutGrey = true
	if err := p.applyFit(c, class); err != nil {
		return err
	}
	if class != nil {
		c.Preprocess.Filter = class.filter
		c.Normalize(class.mean[:], class.std[:])
	}
	if p.Resample != nil {
		filter, ok := map[int]string{2: image.FilterLinear, 3: ""}[*p.Resample]
		if !ok {
			return fmt.Errorf("found resample %d, want 2 (bilinear) or 3 (bicubic)", *p.Resample)
		}
		c.Preprocess.Filter = filter
	}
	return p.applyNumbers(c)
}

// applyNumbers settles how the bytes of pixels become numbers.
func (p processor) applyNumbers(c *Config) error {
	mean, err := perChannel("image_mean", p.Mean)
	std, err2 := perChannel("image_std", p.Std)
	if err := cmp.Or(err, err2); err != nil {
		return err
	}
	factor := 1. / 255
	if p.Factor != nil {
		factor = *p.Factor
	}
	if off(p.Rescale) {
		factor = 1
	}
	if !(factor > 0) || math.IsInf(factor, 0) {
		return fmt.Errorf("found rescale_factor %g, want more than 0", factor)
	}
	if off(p.Normal) {
		mean, std = []float64{0, 0, 0}, []float64{1, 1, 1}
	}
	c.Normalize(mean, std)
	if white := 1 / factor / 255; math.Abs(white-1) > 1e-6 { // else 1/255 as somebody has rounded it
		for i := range 3 {
			c.Preprocess.Mean[i] *= white
			c.Preprocess.Std[i] *= white
		}
	}
	return nil
}

// perChannel reads a number of each channel, or one of all; nil where the setting says none.
func perChannel(name string, raw json.RawMessage) ([]float64, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	var one float64
	if json.Unmarshal(raw, &one) == nil {
		return []float64{one, one, one}, nil
	}
	var three []float64
	if json.Unmarshal(raw, &three) != nil || len(three) != 3 {
		return nil, fmt.Errorf("found %s %s, want three numbers", name, Spell(raw))
	}
	return three, nil
}

// applyFit settles how an image becomes a square: squashed, or by its shorter side; and whether its middle is cut out.
// A size that is one number is that of the shorter side, or of both.
func (p processor) applyFit(c *Config, class *processorClass) error {
	crop := c.Preprocess.Fit == image.FitCrop || c.Preprocess.Resize > c.Preprocess.Size // what the architecture's does
	if p.Crop != nil {
		crop = *p.Crop
	}
	size, err := parseSize(p.Size)
	middle, err2 := parseSize(p.CropSize)
	if err := errors.Join(err, err2); err != nil {
		return errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	if number := size.side != 0 && !size.both && !size.shortest; number && class != nil {
		size.shortest, size.both = class.shorter, !class.shorter
	}
	if c.Encoder != nil && c.Encoder.Side() == 0 { // which takes images of any size
		switch {
		case crop && middle.side != 0:
			c.Preprocess.Size = middle.side
		case !crop && size.side != 0 && !size.shortest:
			c.Preprocess.Size = size.side
		}
	}
	want := c.Preprocess.Size
	switch {
	case crop && middle.side != 0 && middle.side != want, crop && size.side != 0 && size.side < want,
		!crop && size.side != 0 && size.side != want:
		return fmt.Errorf("found size %s and crop_size %s, want the encoder's %d pixels",
			Spell(p.Size), Spell(p.CropSize), want)
	case !crop && size.shortest:
		return fmt.Errorf("found size %s without a crop, want a square", Spell(p.Size))
	case !crop:
		c.Preprocess.Fit, c.Preprocess.Resize = image.FitSquash, 0
		return nil
	}
	c.Preprocess.CropFloor = true
	switch {
	case size.both:
		c.Preprocess.Fit = image.FitSquash
	case size.side != 0, c.Preprocess.Resize == 0:
		c.Preprocess.Fit = image.FitCrop
	}
	if size.side != 0 {
		c.Preprocess.Resize = size.side
	}
	if c.Preprocess.Resize <= want {
		c.Preprocess.Resize = 0
	}
	return nil
}

// size is what a setting says of a side in pixels; the zero value is nothing.
type size struct {
	side     int
	shortest bool // of the shorter side alone
	both     bool // of both sides, in so many words
}

// parseSize reads a size in any of its spellings: 224, [224, 224], {"height": 224, "width": 224},
// {"shortest_edge": 224}.
func parseSize(raw json.RawMessage) (s size, err error) {
	if len(raw) == 0 || string(raw) == "null" {
		return s, nil
	}
	if json.Unmarshal(raw, &s.side) == nil {
		return s, nil
	}
	var sides []int
	if json.Unmarshal(raw, &sides) == nil && len(sides) == 2 && sides[0] == sides[1] && sides[0] > 0 {
		return size{side: sides[0], both: true}, nil
	}
	var named map[string]int
	_ = json.Unmarshal(raw, &named) // what it is else has no such names
	switch height, shortest := named["height"], named["shortest_edge"]; {
	case len(named) == 2 && height > 0 && height == named["width"]:
		return size{side: height, both: true}, nil
	case len(named) == 1 && shortest > 0:
		return size{side: shortest, shortest: true}, nil
	}
	return s, fmt.Errorf("found %s, want a square or a shortest edge", Spell(raw))
}

// kind is the class of the processor; "" where the file does not say.
func (p processor) kind() string { return cmp.Or(p.Class, p.OldClass) }

// Spell is JSON on one line, for messages; "none" where there is none.
func Spell(raw json.RawMessage) string {
	var b bytes.Buffer
	if len(raw) == 0 || json.Compact(&b, raw) != nil {
		return "none"
	}
	return b.String()
}
