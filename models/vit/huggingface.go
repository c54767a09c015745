package vit

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"captioner/weights"
	"captioner/weights/plural"
)

// huggingFacePatch and huggingFaceQuery tell Hugging Face's ViTModel from its kin.
const (
	huggingFacePatch = "embeddings.patch_embeddings.projection.weight"
	huggingFaceQuery = "encoder.layer.0.attention.attention.query.weight"
)

// Layout is how a kind of checkpoint of Hugging Face names the tensors of this network.
type Layout struct {
	Patterns []string // its names and timm's, as weights.Patterns has them, but for queries, keys and values

	Layers    string    // before the number of a layer: "encoder.layer."
	Attention string    // behind it, before a query: "attention.attention."
	QKV       [3]string // what queries, keys and values are called: "query", …; "": they are joined already

	Ignored []string // beginnings of the names of what makes no features
}

// huggingFace is the layout of a ViTModel and a DeiTModel.
var huggingFace = Layout{
	Patterns: []string{
		"embeddings.cls_token", "cls_token",
		"embeddings.distillation_token", "dist_token",
		"embeddings.position_embeddings", "pos_embed",
		"embeddings.patch_embeddings.projection.*", "patch_embed.proj.*",
		"encoder.layer.*.layernorm_before.*", "blocks.*.norm1.*",
		"encoder.layer.*.layernorm_after.*", "blocks.*.norm2.*",
		"encoder.layer.*.attention.output.dense.*", "blocks.*.attn.proj.*",
		"encoder.layer.*.intermediate.dense.*", "blocks.*.mlp.fc1.*",
		"encoder.layer.*.output.dense.*", "blocks.*.mlp.fc2.*",
		"layernorm.*", "norm.*",
	},
	Layers: "encoder.layer.", Attention: "attention.attention.", QKV: [3]string{"query", "key", "value"},
	Ignored: []string{"pooler.", "classifier.", "embeddings.mask_token"},
}

// View shows the tensors of src below a prefix under timm's names: queries, keys and values are joined. Names that the
// layout does not have stay as they are, so that a strict load tells them. The view owns src.
func (l Layout) View(src weights.Source, prefix string) weights.Source {
	rename := weights.Patterns(l.Patterns...)
	out := weights.NewStacked(src)
	for _, old := range src.Names() {
		key, ok := strings.CutPrefix(old, prefix)
		if !ok || slices.ContainsFunc(l.Ignored, func(part string) bool { return strings.HasPrefix(key, part) }) {
			continue
		}
		if name, ok := rename(key); ok {
			out.Add(name, old)
		} else if name, parts, ok := l.joined(key, prefix); ok {
			out.Add(name, parts...)
		} else {
			out.Add(key, old)
		}
	}
	return out
}

// joined is timm's name of what a query, key or value is a part of, and all three parts.
func (l Layout) joined(key, prefix string) (name string, parts []string, ok bool) {
	rest, ok := strings.CutPrefix(key, l.Layers)
	number, rest, _ := strings.Cut(rest, ".")
	rest, ok2 := strings.CutPrefix(rest, l.Attention)
	part, what, _ := strings.Cut(rest, ".")
	if l.QKV[0] == "" || !ok || !ok2 || !slices.Contains(l.QKV[:], part) {
		return "", nil, false
	}
	for _, part := range l.QKV {
		parts = append(parts, prefix+l.Layers+number+"."+l.Attention+part+"."+what)
	}
	return "blocks." + number + ".attn.qkv." + what, parts, true
}

// IsHuggingFace says whether src holds a ViTModel or a DeiTModel of Hugging Face, and below which prefix ("vit." in a
// ViTForImageClassification).
func IsHuggingFace(src weights.Source) (prefix string, ok bool) {
	names := src.Names()
	for _, name := range names {
		if prefix, ok := strings.CutSuffix(name, huggingFacePatch); ok &&
			slices.Contains(names, prefix+huggingFaceQuery) {
			return prefix, true
		}
	}
	return "", false
}

// Keys shows a checkpoint of Hugging Face's ViTModel or DeiTModel under timm's names. What is not below the model's
// prefix, such as a classifier, is left out. The view owns src.
func Keys(src weights.Source) (weights.Source, error) {
	prefix, ok := IsHuggingFace(src)
	if !ok {
		return nil, fmt.Errorf(
			"read a ViT's weights: found %s, none of them %q, want a ViTModel of Hugging Face",
			plural.Count(len(src.Names()), "tensor"),
			huggingFaceQuery,
		)
	}
	return huggingFace.View(src, prefix), nil
}

// Configure reads from Hugging Face's ViTConfig or DeiTConfig what the weights do not tell.
func (c *Config) Configure(config []byte) error {
	v := struct {
		Type       string  `json:"model_type"`
		Activation string  `json:"hidden_act"`
		Heads      int64   `json:"num_attention_heads"`
		Epsilon    float64 `json:"layer_norm_eps"`
		Bias       bool    `json:"qkv_bias"`
	}{"", "gelu", 12, 1e-12, true}
	if err := json.Unmarshal(config, &v); err != nil {
		return err
	}
	kind := "vit"
	if c.Distilled {
		kind = "deit"
	}
	switch {
	case v.Type != "" && v.Type != kind:
		return fmt.Errorf("found model_type %q, want %s", v.Type, kind)
	case v.Activation != "gelu" || !v.Bias:
		return fmt.Errorf("found hidden_act %q and qkv_bias %v, want gelu and true", v.Activation, v.Bias)
	}
	c.Heads, c.NormEpsilon = v.Heads, v.Epsilon
	return c.Validate()
}
