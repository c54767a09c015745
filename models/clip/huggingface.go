package clip

import (
	"fmt"
	"slices"
	"strings"

	"captioner/weights"
)

// HuggingFace returns the tensors of a ViT's image tower, which have OpenAI's names ("visual.…"), under those of
// Hugging Face's CLIPVisionModel: queries, keys and values apart. That class has no projection, so "visual.proj" is
// left out. The bytes are those of the given tensors.
func HuggingFace(tensors []weights.NamedTensor) ([]weights.NamedTensor, error) {
	var pairs []string
	for _, p := range huggingFacePatterns {
		pairs = append(pairs, p[1], p[0])
	}
	for _, p := range huggingFaceBlocks {
		pairs = append(pairs, "visual.transformer.resblocks.*."+p[1], "vision_model.encoder.layers.*."+p[0])
	}
	rename := weights.Patterns(pairs...)
	var out []weights.NamedTensor
	for _, t := range tensors {
		if t.Name == "visual.proj" {
			continue
		}
		if name, ok := rename(t.Name); ok {
			t.Name = name
			out = append(out, t)
			continue
		}
		number, what, ok := strings.Cut(strings.TrimPrefix(t.Name, "visual.transformer.resblocks."), ".attn.in_proj_")
		if !ok || len(t.Shape) == 0 || t.Shape[0]%3 != 0 {
			return nil, fmt.Errorf("tensor %q: found no name for it in CLIPVisionModel", t.Name)
		}
		third := len(t.Data) / 3 // [3C, C] or [3C]
		shape := slices.Clone(t.Shape)
		shape[0] /= 3
		for i, part := range []string{"q_proj", "k_proj", "v_proj"} {
			out = append(
				out,
				weights.NamedTensor{
					Name:  "vision_model.encoder.layers." + number + ".self_attn." + part + "." + what,
					DType: t.DType,
					Shape: shape,
					Data:  t.Data[i*third : (i+1)*third],
				},
			)
		}
	}
	return out, nil
}
