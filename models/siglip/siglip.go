// Package siglip is the vision tower of SigLIP (Zhai et al. 2023) and of SigLIP 2 (Tschannen et al. 2025) for images of
// one size: a ViT (package vit) without a class token. [Keys] finds it in a checkpoint of Hugging Face, a SiglipModel
// or a SiglipVisionModel (transformers v4.57.1, models/siglip/modeling_siglip.py), also inside a larger model.
//
// Its features are the tokens of the patches behind the last norm, Hugging Face's last_hidden_state.
//
// It does not do: the head that pools them to one vector by attention, which no memory of tokens needs; the text tower;
// SigLIP 2's NaFlex, whose images keep their shape.
package siglip

import (
	"fmt"
	"slices"
	"strings"

	"captioner/models/vit"
	"captioner/weights"
)

// What is done to images: both sides are scaled to ImageSize, whatever their ratio was, and then x = (pixel - Mean)/Std
// for pixels of 0 to 255. SigLIP scales by bicubic, SigLIP 2 by bilinear: its processor says so.
var (
	Mean = [3]float64{127.5, 127.5, 127.5}
	Std  = [3]float64{127.5, 127.5, 127.5}
)

// size is a published tower.
type size struct {
	name   string
	width  int64
	layers int
	heads  int64
}

// sizes are the published towers.
var sizes = []size{
	{"base", 768, 12, 12},
	{"large", 1024, 24, 16},
	{"so400m", 1152, 27, 16},
	{"giant", 1536, 40, 16},
}

// sizeOf is the published tower of a width.
func sizeOf(width int64) (size, bool) {
	i := slices.IndexFunc(sizes, func(s size) bool { return s.width == width })
	if i < 0 {
		return size{}, false
	}
	return sizes[i], true
}

// mark is the tensor that tells a SigLIP, behind any prefix: a CLIP's patches have no bias.
const mark = "vision_model.embeddings.patch_embedding.bias"

// layout is that of Hugging Face, below "vision_model.".
var layout = vit.Layout{
	Patterns: []string{
		"embeddings.patch_embedding.*", "patch_embed.proj.*",
		"embeddings.position_embedding.weight", "pos_embed",
		"encoder.layers.*.layer_norm1.*", "blocks.*.norm1.*",
		"encoder.layers.*.layer_norm2.*", "blocks.*.norm2.*",
		"encoder.layers.*.self_attn.out_proj.*", "blocks.*.attn.proj.*",
		"encoder.layers.*.mlp.*.*", "blocks.*.mlp.*.*",
		"post_layernorm.*", "norm.*",
	},
	Layers: "encoder.layers.", Attention: "self_attn.", QKV: [3]string{"q_proj", "k_proj", "v_proj"},
	Ignored: []string{"head.", "embeddings.position_ids"},
}

// find says below which prefix src holds a SigLIP: that of its "vision_model.".
func find(src weights.Source) (prefix string, ok bool) {
	names := src.Names()
	for _, name := range names {
		prefix, ok := strings.CutSuffix(name, mark)
		if ok && !slices.Contains(names, prefix+"vision_model.embeddings.class_embedding") {
			return prefix, true
		}
	}
	return "", false
}

// isNaFlex says whether src holds a SigLIP 2 for images of any shape, whose patches come through a linear layer.
func isNaFlex(src weights.Source) bool {
	prefix, ok := find(src)
	if !ok {
		return false
	}
	patch, err := src.Tensor(prefix + "vision_model.embeddings.patch_embedding.weight")
	return err == nil && len(patch.Shape) == 2
}

// Keys shows the vision tower inside a checkpoint of Hugging Face under timm's names, as package vit has them. The view
// owns src.
func Keys(src weights.Source) (weights.Source, error) {
	prefix, ok := find(src)
	if !ok {
		const message = "read SigLIP's weights: found %d tensors, none of them %q, want a checkpoint of Hugging Face"
		return nil, fmt.Errorf(message, len(src.Names()), mark)
	}
	return tower{layout.View(src, prefix+"vision_model.")}, nil
}

// tower shows a table of positions [P, C] as package vit has it.
type tower struct{ weights.Source }

// Tensor returns a tensor; the positions as [1, P, C].
func (t tower) Tensor(name string) (weights.NamedTensor, error) {
	return t.get(name, weights.Source.Tensor)
}

// Describe returns type and shape of a tensor.
func (t tower) Describe(name string) (weights.NamedTensor, error) {
	return t.get(name, weights.Describe)
}

func (t tower) get(
	name string, get func(weights.Source, string) (weights.NamedTensor, error),
) (weights.NamedTensor, error) {
	n, err := get(t.Source, name)
	if name == "pos_embed" && len(n.Shape) == 2 {
		n.Shape = append([]int64{1}, n.Shape...)
	}
	return n, err
}
