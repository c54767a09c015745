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

// SquareSide is the side of an image_size in pixels: a number, or two that are the same; 224 where there is none.
func SquareSide(raw json.RawMessage) (int64, error) {
	const usual = 224
	var one int64
	var two [2]int64
	switch {
	case len(raw) == 0:
		return usual, nil
	case json.Unmarshal(raw, &one) == nil && one > 0:
		return one, nil
	case json.Unmarshal(raw, &two) == nil && two[0] == two[1] && two[0] > 0:
		return two[0], nil
	}
	return 0, fmt.Errorf("found image_size %s, want a square", Spell(raw))
}
