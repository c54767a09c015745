package gpt2

import (
	"fmt"
	"slices"
	"strings"

	"captioner/weights"
	"captioner/weights/plural"
)

// Keys shows a checkpoint under the names of GPT2LMHeadModel (transformer.h.0.attn.c_attn.weight, …). It knows, by
// their names, those of GPT2LMHeadModel itself, of GPT2Model, which has no "transformer." before its names (as the
// published gpt2, gpt2-medium, gpt2-large and gpt2-xl are stored), and both below any prefix ("decoder." of a
// VisionEncoderDecoderModel, "language_model." of clip-text-decoder), outside of which everything is left out. The view
// owns src.
func Keys(src weights.Source) (weights.Source, error) {
	const table = "wte.weight"
	for _, name := range src.Names() {
		prefix, ok := strings.CutSuffix(name, table)
		if !ok || prefix != "" && !strings.HasSuffix(prefix, ".") {
			continue
		}
		if whole, ok := strings.CutSuffix(prefix, "transformer."); ok {
			return weights.Rename(src, weights.Prefix(whole, ""))
		}
		return weights.Rename(src, weights.Prefix(prefix, "transformer."))
	}
	return nil, fmt.Errorf(
		"read gpt2's weights: found %s, none of them %q or %q: want a checkpoint of Hugging Face",
		plural.Count(len(src.Names()), "tensor"),
		"transformer."+table,
		table,
	)
}

// HeadSize is the channels of a head in every published GPT-2, and in distilgpt2.
const HeadSize = 64

// ConfigOf reads the sizes from the weights themselves, in GPT2LMHeadModel's keys (see Keys). The activation is
// gelu_new, which no weight tells: for a model that differs, change the field, or take its config.json (ParseConfig).
// Nor does one tell the heads: they are of 64 channels, and 0 where that does not divide the width.
func ConfigOf(src weights.Source) (Config, error) {
	shapes := weights.ShapesOf(src)
	c := GPT2()
	table := shapes.Of("transformer.wte.weight", 2) // [V, C]
	c.VocabSize, c.Width, c.Heads = table[0], table[1], 0
	if c.Width%HeadSize == 0 {
		c.Heads = c.Width / HeadSize
	}
	c.Positions = shapes.Of("transformer.wpe.weight", 2)[0]     // [n_positions, C]
	inner := shapes.Of("transformer.h.0.mlp.c_fc.weight", 2)[1] // [C, inner]
	c.Layers = shapes.Blocks("transformer.h.")
	c.CrossAttention = slices.ContainsFunc(src.Names(), func(name string) bool {
		return strings.HasPrefix(name, "transformer.h.") && strings.Contains(name, ".crossattention.c_attn.")
	})
	if err := shapes.Err(); err != nil {
		return Config{}, fmt.Errorf("read gpt2's sizes: %w", err)
	}
	if inner != c.InnerWidth() {
		c.Inner = inner
	}
	known := c // whether any number of heads would do
	known.Heads = max(1, c.Heads)
	return c, known.Validate()
}
