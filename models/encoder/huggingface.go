package encoder

import (
	"encoding/json"
	"fmt"
)

// Sizes are those sizes in the config.json of a vision transformer that the weights say as well.
type Sizes struct {
	Width  *int64          `json:"hidden_size"`
	Layers *int64          `json:"num_hidden_layers"`
	MLP    *int64          `json:"intermediate_size"`
	Image  json.RawMessage `json:"image_size"` // a number, or two
	Patch  json.RawMessage `json:"patch_size"`
}

// Agree says which of the sizes is not that of the weights.
func (s Sizes) Agree(width, layers, mlp, image, patch int64) error {
	number := func(b json.RawMessage) *int64 {
		var n *int64
		if json.Unmarshal(b, &n) != nil {
			return nil
		}
		return n
	}
	for _, size := range []struct {
		name         string
		said, actual *int64
	}{
		{"hidden_size", s.Width, &width},
		{"num_hidden_layers", s.Layers, &layers},
		{"intermediate_size", s.MLP, &mlp},
		{"image_size", number(s.Image), &image},
		{"patch_size", number(s.Patch), &patch},
	} {
		if size.said != nil && *size.said != *size.actual {
			return fmt.Errorf("found %s %d, want the %d of the weights", size.name, *size.said, *size.actual)
		}
	}
	return nil
}
