package coca

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"captioner/models/clip"
	"captioner/models/encoder"
	"captioner/weights"
	"captioner/weights/mistakes"
)

// Config is the shape of what writes: the attentional pooler and both halves of the text decoder. All of them have the
// same width.
type Config struct {
	VocabSize int64 `json:"vocab_size"`
	Width     int64 `json:"width"`
	Context   int64 `json:"context_length"` // tokens of the longest text; one more position is the class token's

	Text       Tower `json:"text_cfg"`       // the unimodal half
	Multimodal Tower `json:"multimodal_cfg"` // the half that looks at the image

	Image   int64 `json:"vision_width"`        // channels of the image's tokens
	Queries int64 `json:"attn_pooler_queries"` // of the pooler; the first one's answer is for comparing images with texts
	Pooler  int64 `json:"attn_pooler_heads"`

	Pad int32 `json:"pad_id"` // see Decoder
}

// Tower is the shape of one half.
type Tower struct {
	Layers int   `json:"layers"`
	Heads  int64 `json:"heads"`
	MLP    int64 `json:"mlp_width"`
}

// check returns every problem at once.
func (c Config) check() error {
	var wrong mistakes.List
	wrong.Positive("vocab_size", c.VocabSize)
	wrong.Positive("width", c.Width)
	wrong.Positive("context_length", c.Context)
	wrong.Positive("vision_width", c.Image)
	wrong.AtLeast(2, "attn_pooler_queries", c.Queries)
	wrong.Check(c.Pad >= 0 && int64(c.Pad) < c.VocabSize, "pad_id: found %d, want one of %d tokens", c.Pad, c.VocabSize)
	wrong.Divides("attn_pooler_heads", c.Pooler, c.Width)
	for _, t := range []struct {
		name string
		Tower
	}{{"text_cfg", c.Text}, {"multimodal_cfg", c.Multimodal}} {
		wrong.Positive(t.name+": layers", int64(t.Layers))
		wrong.Positive(t.name+": mlp width", t.MLP)
		wrong.Divides(t.name+": heads", t.Heads, c.Width)
	}
	// one cache holds the keys and values of both
	wrong.Check(c.Text.Heads == c.Multimodal.Heads, "multimodal_cfg: heads: found %d, want text_cfg's %d",
		c.Multimodal.Heads, c.Text.Heads)
	return wrong.Err("coca config")
}

// mark is the tensor that tells a CoCa; the pooler's queries tell below which prefix.
const (
	mark    = "text_decoder.cross_attn.0.attn.in_proj_weight"
	queries = "visual.attn_pool.query"
)

// find says whether src holds a CoCa, and below which prefix.
func find(src weights.Source) (prefix string, ok bool) {
	for _, name := range src.Names() {
		if prefix, ok := strings.CutSuffix(name, queries); ok {
			return prefix, slices.Contains(src.Names(), prefix+mark)
		}
	}
	return "", false
}

// unused are the tensors of a CoCa that compare images with texts.
var unused = []string{
	"text.cls_emb", "text.ln_final.weight", "text.ln_final.bias", "text.text_projection", "visual.proj", "logit_scale",
	"logit_bias",
}

// Keys shows what writes in a checkpoint of open_clip, without any prefix and without what compares images with texts.
// The view owns src.
func Keys(src weights.Source) (weights.Source, error) {
	prefix, ok := find(src)
	if !ok {
		const message = "read coca's weights: found %d tensors, none of them %q beside %q"
		return nil, fmt.Errorf(message, len(src.Names()), queries, mark)
	}
	return weights.Rename(src, func(name string) (string, bool) {
		name, ok := strings.CutPrefix(name, prefix)
		return name, ok && !slices.Contains(unused, name) && !isImage(name)
	})
}

// isImage says whether a tensor is of the image tower, up to its last block.
func isImage(name string) bool {
	rest, ok := strings.CutPrefix(name, "visual.")
	return ok && rest != "proj" && !strings.HasPrefix(rest, "attn_pool") && !strings.HasPrefix(rest, "ln_post.")
}

// imageTower reads the sizes of the image tower and shows its tensors as clip has them.
func imageTower(src weights.Source) (clip.Config, weights.Source, error) {
	prefix, _ := find(src)
	named, err := weights.Rename(src, func(name string) (string, bool) {
		name, ok := strings.CutPrefix(name, prefix)
		return name, ok && isImage(name)
	})
	if err != nil {
		return clip.Config{}, nil, err
	}
	c, err := clip.ConfigOf(named)
	if err != nil {
		return clip.Config{}, nil, err
	}
	c.QuickGELU, c.Vision.Bare = false, true
	named, err = weights.Rename(named, weights.Prefix("", encoder.Prefix))
	return c, named, err
}

// headSize is the channels of a head in every published model, but for the pooler of ViT-L-14, which has poolerHeads.
const (
	headSize    = 64
	poolerHeads = 8
)

// ConfigOf reads the sizes from the weights themselves, in the keys of Keys. What no weight tells is as in
// coca_ViT-B-32 and coca_ViT-L-14: heads of 64 channels (0 where that does not divide the width), eight in the pooler.
func ConfigOf(src weights.Source) (Config, error) {
	shapes := weights.ShapesOf(src)
	table := shapes.Of("text.token_embedding.weight", 2) // [V, C]
	var c Config
	c.VocabSize, c.Width = table[0], table[1]
	c.Context = shapes.Of("text.positional_embedding", 2)[0] - 1
	tower := func(blocks string) Tower {
		t := Tower{Layers: shapes.Blocks(blocks), MLP: shapes.Of(blocks+"0.mlp.c_fc.weight", 2)[0]}
		if c.Width%headSize == 0 {
			t.Heads = c.Width / headSize
		}
		return t
	}
	c.Text, c.Multimodal = tower("text.transformer.resblocks."), tower("text_decoder.resblocks.")
	c.Queries, c.Pooler = shapes.Of(queries, 2)[0], poolerHeads
	if c.Image = c.Width; !shapes.Has("visual.attn_pool.attn.in_proj_weight") {
		c.Image = shapes.Of("visual.attn_pool.attn.k_proj_weight", 2)[1]
	}
	if n := shapes.Blocks("text_decoder.cross_attn."); n != c.Multimodal.Layers {
		const message = "read coca's sizes: found %d blocks of text_decoder.cross_attn, want %d, one for each of resblocks"
		return c, fmt.Errorf(message, n, c.Multimodal.Layers)
	}
	if shapes.Has("visual.attn_pool_contrastive.query") {
		return c, errors.New("read coca's sizes: found attn_pool_contrastive, a second pooler, want one with one pooler")
	}
	if err := shapes.Err(); err != nil {
		return c, fmt.Errorf("read coca's sizes: %w", err)
	}
	known := c // whether any number of heads would do
	known.Text.Heads, known.Multimodal.Heads = max(1, c.Text.Heads), max(1, c.Multimodal.Heads)
	return c, known.check()
}
