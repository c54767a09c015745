package clipcap

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"captioner/models/gpt2"
	"captioner/weights"
	"captioner/weights/mistakes"
	"captioner/weights/plural"
)

// A Mapping is a kind of mapper.
type Mapping string

// The mappings.
const (
	Linear      Mapping = "linear"
	MLP         Mapping = "mlp"
	Transformer Mapping = "transformer"
)

// Config is the shape of a model.
type Config struct {
	GPT2    gpt2.Config `json:"gpt2"`
	Mapping Mapping     `json:"mapping"`
	Image   int64       `json:"prefix_size"`           // channels of CLIP's embedding
	Prefix  int64       `json:"prefix_length"`         // embeddings that GPT-2 gets
	Inner   int64       `json:"inner,omitempty"`       // channels inside an MLP, or inside the MLPs of a transformer
	Clip    int64       `json:"clip_length,omitempty"` // of a transformer: embeddings that CLIP's becomes
	Layers  int         `json:"num_layers,omitempty"`  // of a transformer
}

// check returns every problem at once.
func (c Config) check() error {
	var wrong mistakes.List
	wrong.Positive("prefix_size", c.Image)
	wrong.Positive("prefix_length", c.Prefix)
	switch c.Mapping {
	case Linear:
	case MLP:
		wrong.Positive("inner", c.Inner)
	case Transformer:
		wrong.Positive("inner", c.Inner)
		wrong.Positive("clip_length", c.Clip)
		wrong.Positive("num_layers", int64(c.Layers))
		wrong.Check(c.GPT2.Width%mapperHeads == 0, "n_embd: found %d, want a multiple of %s", c.GPT2.Width,
			plural.Count(mapperHeads, "head"))
	default:
		wrong.Check(false, "mapping: found %q, want %s, %s or %s", c.Mapping, Linear, MLP, Transformer)
	}
	wrong.Check(c.longest() >= 2, "prefix_length: found %d, want less than n_positions %d", c.Prefix, c.GPT2.Positions)
	if err := wrong.Err("clipcap config"); err != nil {
		return err
	}
	return c.GPT2.Validate()
}

// mark is the tensor that tells a ClipCap beside its mapper.
const mark = "gpt.transformer.wte.weight"

// Keys shows a checkpoint without any prefix before "clip_project." and "gpt.", and without what such files hold
// twice. The view owns src.
func Keys(src weights.Source) (weights.Source, error) {
	prefix, ok := find(src)
	if !ok {
		const message = "read clipcap's weights: found %d tensors, none of them %q beside clip_project"
		return nil, fmt.Errorf(message, len(src.Names()), mark)
	}
	return weights.Rename(src, func(name string) (string, bool) {
		rest, ok := strings.CutPrefix(name, prefix)
		mask := strings.HasSuffix(rest, ".attn.bias") || strings.HasSuffix(rest, ".attn.masked_bias")
		return rest, ok && !mask && rest != "gpt.lm_head.weight"
	})
}

// find says whether src holds a ClipCap, and below which prefix.
func find(src weights.Source) (prefix string, ok bool) {
	for _, name := range src.Names() {
		prefix, ok := strings.CutSuffix(name, mark)
		mapper := func(n string) bool { return strings.HasPrefix(n, prefix+"clip_project.") }
		if ok && slices.ContainsFunc(src.Names(), mapper) {
			return prefix, true
		}
	}
	return "", false
}

// ConfigOf reads the sizes from the weights themselves, in the keys of Keys. GPT-2's heads are of 64 channels, and 0
// where that does not divide the width.
func ConfigOf(src weights.Source) (Config, error) {
	language, err := weights.Rename(src, weights.Prefix("gpt.", ""))
	if err != nil {
		return Config{}, err
	}
	var c Config
	if c.GPT2, err = gpt2.ConfigOf(language); err != nil {
		return c, err
	}
	shape := func(name string) []int64 {
		t, failed := src.Tensor("clip_project." + name)
		if failed == nil && len(t.Shape) != 2 {
			failed = fmt.Errorf("tensor %q: shape %v, want 2 dimensions", t.Name, t.Shape)
		}
		if failed != nil {
			err = errors.Join(err, failed)
			return make([]int64, 2)
		}
		return t.Shape
	}
	has := func(name string) bool { return slices.Contains(src.Names(), "clip_project."+name) }
	width := c.GPT2.Width
	switch {
	case has("weight"):
		s := shape("weight") // [P C, M]
		c.Mapping, c.Image, c.Prefix = Linear, s[1], s[0]/width
	case has("prefix_const"):
		s, l := shape("prefix_const"), shape("linear.weight") // [P, C], [K C, M]
		c.Mapping, c.Image, c.Prefix, c.Clip = Transformer, l[1], s[0], l[0]/width
		c.Inner = shape("transformer.layers.0.mlp.fc1.weight")[0]
		for has(fmt.Sprintf("transformer.layers.%d.norm1.weight", c.Layers)) {
			c.Layers++
		}
	default:
		s, o := shape("model.0.weight"), shape("model.2.weight") // [inner, M], [P C, inner]
		c.Mapping, c.Image, c.Inner, c.Prefix = MLP, s[1], s[0], o[0]/width
	}
	if err != nil {
		return c, fmt.Errorf("read clipcap's sizes: %w", err)
	}
	known := c // whether any number of heads would do
	known.GPT2.Heads = max(1, c.GPT2.Heads)
	return c, known.check()
}
