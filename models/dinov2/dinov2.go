// Package dinov2 is DINOv2 (Oquab et al. 2023), also with registers (Darcet et al. 2023): a ViT (package vit) whose
// layers add what they compute times a factor a channel, and in its largest size with SwiGLU in place of an MLP. [Keys]
// finds it in a checkpoint of Hugging Face, a Dinov2Model or a Dinov2WithRegistersModel (transformers v4.57.1,
// models/dinov2/modeling_dinov2.py), and in a file of its authors.
//
// Its features are all tokens behind the last norm, Hugging Face's last_hidden_state: the class token, the registers,
// and one a patch. Images may have any size: the positions, learned for 518 pixels, are interpolated as transformers
// does, which for files of the authors differs a little from their own code.
//
// It does not do: DINOv3, which has other positions.
package dinov2

import (
	"fmt"
	"slices"
	"strings"

	"captioner/models/vit"
	"captioner/weights"
)

// The tensors that tell a checkpoint of Hugging Face and one of the authors, behind any prefix.
const (
	huggingFaceMark = "encoder.layer.0.layer_scale1.lambda1"
	authorsMark     = "blocks.0.ls1.gamma"
)

// huggingFace is the layout of Hugging Face.
var huggingFace = vit.Layout{
	Patterns: []string{
		"embeddings.cls_token", "cls_token",
		"embeddings.register_tokens", "register_tokens",
		"embeddings.position_embeddings", "pos_embed",
		"embeddings.patch_embeddings.projection.*", "patch_embed.proj.*",
		"encoder.layer.*.norm1.*", "blocks.*.norm1.*",
		"encoder.layer.*.norm2.*", "blocks.*.norm2.*",
		"encoder.layer.*.attention.output.dense.*", "blocks.*.attn.proj.*",
		"encoder.layer.*.layer_scale1.lambda1", "blocks.*.ls1.gamma",
		"encoder.layer.*.layer_scale2.lambda1", "blocks.*.ls2.gamma",
		"encoder.layer.*.mlp.fc1.*", "blocks.*.mlp.fc1.*",
		"encoder.layer.*.mlp.fc2.*", "blocks.*.mlp.fc2.*",
		"encoder.layer.*.mlp.weights_in.*", "blocks.*.mlp.fc1.*",
		"encoder.layer.*.mlp.weights_out.*", "blocks.*.mlp.fc2.*",
		"layernorm.*", "norm.*",
	},
	Layers: "encoder.layer.", Attention: "attention.attention.", QKV: [3]string{"query", "key", "value"},
	Ignored: []string{"embeddings.mask_token", "classifier."},
}

// authors is the layout of DINOv2's authors, which is timm's but for SwiGLU.
var authors = vit.Layout{
	Patterns: []string{
		"blocks.*.mlp.w12.*", "blocks.*.mlp.fc1.*",
		"blocks.*.mlp.w3.*", "blocks.*.mlp.fc2.*",
	},
	Ignored: []string{"mask_token"},
}

// find says in which layout and below which prefix src holds a DINOv2.
func find(src weights.Source) (layout vit.Layout, prefix string, ok bool) {
	names := src.Names()
	for _, name := range names {
		if prefix, ok := strings.CutSuffix(name, huggingFaceMark); ok &&
			slices.Contains(names, prefix+"embeddings.cls_token") {
			return huggingFace, prefix, true
		}
		if prefix, ok := strings.CutSuffix(name, authorsMark); ok && slices.Contains(names, prefix+"cls_token") &&
			slices.Contains(names, prefix+"pos_embed") {
			return authors, prefix, true
		}
	}
	return vit.Layout{}, "", false
}

// isDINOv3 says whether src holds a DINOv3, of Hugging Face or of its authors.
func isDINOv3(src weights.Source) bool {
	return slices.ContainsFunc(src.Names(), func(name string) bool {
		return strings.HasSuffix(name, "rope_embed.periods") || strings.HasSuffix(name, "storage_tokens") ||
			name == "layer.0.layer_scale1.lambda1"
	})
}

// Keys shows a checkpoint under timm's names, as package vit has them. The view owns src.
func Keys(src weights.Source) (weights.Source, error) {
	layout, prefix, ok := find(src)
	if !ok {
		const message = "read DINOv2's weights: found %d tensors, none of them %q or %q, " +
			"want a checkpoint of Hugging Face or of DINOv2's authors"
		return nil, fmt.Errorf(message, len(src.Names()), huggingFaceMark, authorsMark)
	}
	return layout.View(src, prefix), nil
}
