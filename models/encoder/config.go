package encoder

import (
	"encoding/json"
	"fmt"

	"captioner/data/image"
)

// Config is a vision encoder as a model file describes it: its sizes, and what is done to an image before it.
type Config struct {
	// Architecture is a name for people: "efficientnet-lite2", "ViT-B/32". It is empty where a checkpoint does not name
	// its encoder.
	Architecture string
	Encoder      Encoder          // the sizes; nil where the checkpoint does not say
	Preprocess   image.Preprocess // from a decoded image to the pixels that the encoder takes
	// SHA256 is that of the file that the weights came from, or of the weights where they were trained further; "" is
	// unknown.
	SHA256 string

	// Activation is that of a network of a published checkpoint whose weights do not say it, such as a CLIP; else "".
	// Assumed says that no file said it either, so that the usual one was taken. A model file holds neither: its sizes
	// say it.
	Activation string
	Assumed    bool

	unresolved map[string]json.RawMessage // sizes as they were read, by the key of their architecture; see Table.Resolve
}

// MarshalJSON writes the sizes under the key of their architecture.
func (c Config) MarshalJSON() ([]byte, error) {
	members := []Member{{"architecture", c.Architecture}}
	if c.Encoder != nil {
		members = append(members, Member{c.Encoder.Key(), c.Encoder})
	}
	members = append(members, Member{"preprocess", c.Preprocess})
	if c.SHA256 != "" {
		members = append(members, Member{"sha256", c.SHA256})
	}
	return MarshalMembers(members...)
}

// UnmarshalJSON reads a description. Its sizes are those of no architecture yet: Table.Resolve reads them.
func (c *Config) UnmarshalJSON(b []byte) error {
	var known struct {
		Architecture string           `json:"architecture"`
		Preprocess   image.Preprocess `json:"preprocess"`
		SHA256       string           `json:"sha256"`
	}
	if err := json.Unmarshal(b, &known); err != nil {
		return err
	}
	all, err := ReadMembers(b)
	if err != nil {
		return err
	}
	*c = Config{Architecture: known.Architecture, Preprocess: known.Preprocess, SHA256: known.SHA256, unresolved: all}
	return nil
}

// Validate reports the first thing that does not fit.
func (c Config) Validate() error {
	if c.Encoder == nil {
		return fmt.Errorf("encoder: found no architecture that this version knows (%q)", c.Architecture)
	}
	if err := c.Encoder.Validate(); err != nil {
		return fmt.Errorf("encoder: %w", err)
	}
	if side := c.Encoder.Side(); side != 0 && int64(c.Preprocess.Size) != side {
		return fmt.Errorf(
			"encoder: found images of %d pixels, want the %d of %s",
			c.Preprocess.Size,
			side,
			c.Architecture,
		)
	}
	return c.Preprocess.Validate()
}

// shape is the features of an image as m looks at them.
func (c Config) shape(m Memory) (positions, channels int64, err error) {
	if c.Encoder == nil {
		return 0, 0, c.Validate()
	}
	positions, channels, err = c.Encoder.Shape(m, int64(c.Preprocess.Size))
	if err != nil {
		return 0, 0, fmt.Errorf("memory: %w", err)
	}
	return positions, channels, nil
}

// ImageNetMean and ImageNetStd are those of ImageNet, of pixels of 0 to 255: x = (pixel - mean)/std.
var (
	ImageNetMean = [3]float64{0.485 * 255, 0.456 * 255, 0.406 * 255}
	ImageNetStd  = [3]float64{0.229 * 255, 0.224 * 255, 0.225 * 255}
)

// Normalize takes mean and standard deviation of values from 0 to 1, three of each; nil leaves c's own.
func (c *Config) Normalize(mean, std []float64) {
	for i := range mean {
		c.Preprocess.Mean[i] = mean[i] * 255
	}
	for i := range std {
		c.Preprocess.Std[i] = std[i] * 255
	}
}
