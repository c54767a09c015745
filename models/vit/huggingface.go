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

// huggingFacePatterns are Hugging Face's names and timm's.
var huggingFacePatterns = []string{
	"embeddings.cls_token", "cls_token",
	"embeddings.position_embeddings", "pos_embed",
	"embeddings.patch_embeddings.projection.*", "patch_embed.proj.*",
	"encoder.layer.*.layernorm_before.*", "blocks.*.norm1.*",
	"encoder.layer.*.layernorm_after.*", "blocks.*.norm2.*",
	"encoder.layer.*.attention.output.dense.*", "blocks.*.attn.proj.*",
	"encoder.layer.*.intermediate.dense.*", "blocks.*.mlp.fc1.*",
	"encoder.layer.*.output.dense.*", "blocks.*.mlp.fc2.*",
	"layernorm.*", "norm.*",
}

// IsHuggingFace says whether src holds a ViTModel of Hugging Face, and below which prefix ("vit." in a
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

// Keys shows a checkpoint of Hugging Face's ViTModel under timm's names: queries, keys and values are joined. What is
// not below the model's prefix, such as a classifier, is left out. The view owns src.
func Keys(src weights.Source) (weights.Source, error) {
	prefix, ok := IsHuggingFace(src)
	if !ok {
		return nil, fmt.Errorf(
			"read a ViT's weights: found %s, none of them %q, want a ViTModel of Hugging Face",
			plural.Count(len(src.Names()), "tensor"),
			huggingFaceQuery,
		)
	}
	rename := weights.Patterns(huggingFacePatterns...)
	out := weights.NewStacked(src)
	for _, old := range src.Names() {
		key, ok := strings.CutPrefix(old, prefix)
		if !ok || prefix == "" && strings.HasPrefix(key, "classifier.") {
			continue
		}
		if name, ok := rename(key); ok {
			out.Add(name, old)
		} else if head, what, ok := cutQKV(key); ok {
			number := strings.TrimPrefix(head, "encoder.layer.")
			head = prefix + head + ".attention.attention."
			out.Add("blocks."+number+".attn.qkv."+what, head+"query."+what, head+"key."+what, head+"value."+what)
		} else if !strings.HasPrefix(key, "pooler.") && key != "embeddings.mask_token" { // neither makes features
			out.Add(key, old) // unknown: the strict load names it
		}
	}
	return out, nil
}

// cutQKV splits the name of a query, key or value: encoder.layer.3.attention.attention.query.weight gives
// encoder.layer.3 and weight.
func cutQKV(key string) (head, what string, ok bool) {
	head, rest, ok := strings.Cut(key, ".attention.attention.")
	part, what, _ := strings.Cut(rest, ".")
	return head, what, ok && (part == "query" || part == "key" || part == "value")
}

// Configure reads from Hugging Face's ViTConfig what the weights do not tell.
func (c *Config) Configure(config []byte) error {
	v := struct {
		Type       string  `json:"model_type"`
		Activation string  `json:"hidden_act"`
		Heads      int64   `json:"num_attention_heads"`
		Epsilon    float64 `json:"layer_norm_eps"`
		Bias       bool    `json:"qkv_bias"`
	}{"vit", "gelu", 12, 1e-12, true}
	if err := json.Unmarshal(config, &v); err != nil {
		return err
	}
	switch {
	case v.Type != "vit":
		return fmt.Errorf("found model_type %q, want vit", v.Type)
	case v.Activation != "gelu" || !v.Bias:
		return fmt.Errorf("found hidden_act %q and qkv_bias %v, want gelu and true", v.Activation, v.Bias)
	}
	c.Heads, c.NormEpsilon = v.Heads, v.Epsilon
	return c.Validate()
}
