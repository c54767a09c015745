// Package blip is the vision tower of BLIP (Li et al. 2022): a ViT (package vit) whose class token, behind the last
// norm, stands for the image. [Keys] finds it in a whole checkpoint of LAVIS (salesforce/LAVIS 1.0.2,
// lavis/models/vit.py), of BLIP's authors or of Hugging Face.
//
// It does not do: BLIP's text encoder and decoder, the projection that its contrastive loss looks at.
package blip

import (
	"fmt"
	"slices"
	"strings"

	"captioner/models/vit"
	"captioner/weights"
	"captioner/weights/plural"
)

// What is done to images: both sides are scaled to ImageSize, whatever their ratio was (bicubic, nothing is cut off),
// and then x = (pixel - Mean)/Std for pixels of 0 to 255. The numbers are CLIP's.
var (
	Mean = [3]float64{0.48145466 * 255, 0.4578275 * 255, 0.40821073 * 255}
	Std  = [3]float64{0.26862954 * 255, 0.26130258 * 255, 0.27577711 * 255}
)

// Base is the tower of BLIP base as LAVIS's blip_feature_extractor has it: ViT-B/16 at 224 pixels, 86M parameters.
// Hugging Face's port writes an epsilon of 1e-5; the published weights were trained with 1e-6, which is vit's.
func Base() vit.Config {
	return vit.Config{ImageSize: 224, PatchSize: 16, Width: 768, Heads: 12, Layers: 12, MLP: 3072}
}

// Keys shows a checkpoint's vision tower under LAVIS's names without their prefix (patch_embed.proj.weight,
// blocks.0.attn.qkv.weight, …). It knows, by their names, those of
//   - LAVIS and BLIP's authors: below "visual_encoder.";
//   - Hugging Face's BlipModel and its kin: below "vision_model.";
//
// each also below a prefix, such as "model." in the published .pth, outside of which everything is left out. The view
// owns src.
func Keys(src weights.Source) (weights.Source, error) {
	names := src.Names()
	for _, name := range names {
		if prefix, ok := strings.CutSuffix(name, "visual_encoder.cls_token"); ok {
			return weights.Rename(src, weights.Prefix(prefix+"visual_encoder.", ""))
		}
		if prefix, ok := strings.CutSuffix(name, "vision_model.embeddings.class_embedding"); ok &&
			slices.Contains(names, prefix+huggingFaceQKV) {
			rename := weights.Patterns(huggingFacePatterns...)
			return weights.Rename(src, func(name string) (string, bool) {
				rest, ok := strings.CutPrefix(name, prefix+"vision_model.")
				if !ok {
					return "", false
				}
				if ours, ok := rename(rest); ok {
					return ours, true
				}
				return rest, true // unknown: the strict load names it
			})
		}
	}
	return nil, fmt.Errorf(
		"read blip's weights: found %s, none of them %q or %q: want a checkpoint of LAVIS or Hugging Face",
		plural.Count(len(names), "tensor"),
		"visual_encoder.cls_token",
		huggingFaceQKV,
	)
}

// huggingFaceQKV tells Hugging Face's BLIP from its CLIP, whose queries, keys and values are apart.
const huggingFaceQKV = "vision_model.encoder.layers.0.self_attn.qkv.weight"

// huggingFacePatterns are Hugging Face's names and LAVIS's.
var huggingFacePatterns = []string{
	"embeddings.class_embedding", "cls_token",
	"embeddings.position_embedding", "pos_embed",
	"embeddings.patch_embedding.*", "patch_embed.proj.*",
	"encoder.layers.*.layer_norm1.*", "blocks.*.norm1.*",
	"encoder.layers.*.layer_norm2.*", "blocks.*.norm2.*",
	"encoder.layers.*.self_attn.qkv.*", "blocks.*.attn.qkv.*",
	"encoder.layers.*.self_attn.projection.*", "blocks.*.attn.proj.*",
	"encoder.layers.*.mlp.*.*", "blocks.*.mlp.*.*",
	"post_layernorm.*", "norm.*",
}
