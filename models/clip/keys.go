package clip

import (
	"fmt"
	"slices"
	"strings"

	"captioner/weights"
)

// Keys shows a checkpoint under OpenAI's names. It knows, by their names, those of
//   - OpenAI, and OpenCLIP with and without a text tower of its own ("text."): the same names;
//   - Hugging Face's CLIPModel, CLIPVisionModel and CLIPVisionModelWithProjection: queries, keys and values are joined,
//     projections turned;
//
// each also below a prefix, such as "state_dict." or "module.", outside of which everything is left out. The view owns
// src.
func Keys(src weights.Source) (weights.Source, error) {
	switch prefix, theirs, ok := layout(src); {
	case !ok:
		const found = "read clip's weights: found %d tensors, none of them %q or %q: "
		const want = "want a checkpoint of OpenAI, OpenCLIP or Hugging Face"
		return nil, fmt.Errorf(found+want, len(src.Names()), openFirst, huggingFaceFirst)
	case theirs:
		return huggingFaceKeys(src, prefix)
	default:
		return openKeys(src, prefix)
	}
}

// IsHuggingFace says whether src holds a CLIP under the names of Hugging Face.
func IsHuggingFace(src weights.Source) bool {
	_, theirs, _ := layout(src)
	return theirs
}

// The first layers' names tell whose names all are.
const (
	openFirst        = "visual.conv1.weight"
	huggingFaceFirst = "vision_model.embeddings.patch_embedding.weight"
)

// layout finds whose names they are and below which prefix.
func layout(src weights.Source) (prefix string, theirs, ok bool) {
	for _, name := range src.Names() {
		if prefix, ok := strings.CutSuffix(name, openFirst); ok {
			return prefix, false, true
		}
		if prefix, ok := strings.CutSuffix(name, huggingFaceFirst); ok {
			return prefix, true, true
		}
	}
	return "", false, false
}

// openKeys drops the prefix, and the name of OpenCLIP's text tower where that is a module of its own.
func openKeys(src weights.Source, prefix string) (weights.Source, error) {
	return weights.Rename(src, func(name string) (string, bool) {
		name, ok := strings.CutPrefix(name, prefix)
		return strings.TrimPrefix(name, "text."), ok
	})
}

// huggingFacePatterns are Hugging Face's names and OpenAI's.
var huggingFacePatterns = [][2]string{
	{"vision_model.embeddings.class_embedding", "visual.class_embedding"},
	{"vision_model.embeddings.patch_embedding.weight", "visual.conv1.weight"},
	{"vision_model.embeddings.position_embedding.weight", "visual.positional_embedding"},
	{"vision_model.pre_layrnorm.*", "visual.ln_pre.*"},
	{"vision_model.post_layernorm.*", "visual.ln_post.*"},
	{"text_model.embeddings.token_embedding.weight", "token_embedding.weight"},
	{"text_model.embeddings.position_embedding.weight", "positional_embedding"},
	{"text_model.final_layer_norm.*", "ln_final.*"},
	{"logit_scale", "logit_scale"},
}

// huggingFaceBlocks are the names inside a block. Queries, keys and values come separately.
var huggingFaceBlocks = [][2]string{
	{"layer_norm1.*", "ln_1.*"},
	{"layer_norm2.*", "ln_2.*"},
	{"self_attn.out_proj.*", "attn.out_proj.*"},
	{"mlp.fc1.*", "mlp.c_fc.*"},
	{"mlp.fc2.*", "mlp.c_proj.*"},
}

// huggingFaceSource makes OpenAI's tensors out of Hugging Face's.
type huggingFaceSource struct {
	*weights.Stacked
	turn map[string]bool // OpenAI's names that are the transpose
}

func huggingFaceKeys(src weights.Source, prefix string) (weights.Source, error) {
	var pairs []string
	for _, p := range huggingFacePatterns {
		pairs = append(pairs, p[0], p[1])
	}
	for _, tower := range [][2]string{{"vision_model", "visual."}, {"text_model", ""}} {
		for _, p := range huggingFaceBlocks {
			pairs = append(pairs, tower[0]+".encoder.layers.*."+p[0], tower[1]+"transformer.resblocks.*."+p[1])
		}
	}
	rename := weights.Patterns(pairs...)
	f := &huggingFaceSource{weights.NewStacked(src), map[string]bool{}}
	for _, old := range src.Names() {
		key, ok := strings.CutPrefix(old, prefix)
		if !ok || strings.HasSuffix(key, ".position_ids") {
			continue
		}
		if name, ok := rename(key); ok {
			f.Add(name, old)
			continue
		}
		if name, parts, ok := huggingFaceQKV(prefix, key); ok {
			f.Add(name, parts...)
			continue
		}
		switch key {
		case "visual_projection.weight":
			f.Add("visual.proj", old)
			f.turn["visual.proj"] = true
		case "text_projection.weight":
			f.Add("text_projection", old)
			f.turn["text_projection"] = true
		default:
			f.Add(key, old) // unknown: the strict load names it
		}
	}
	return f, nil
}

// huggingFaceQKV finds the joined tensor that a query, key or value belongs to, and all three of its parts.
func huggingFaceQKV(prefix, key string) (name string, parts []string, ok bool) {
	head, kind, ok := strings.Cut(key, ".self_attn.")
	if !ok {
		return "", nil, false
	}
	projection, what, _ := strings.Cut(kind, ".") // "q_proj", "weight"
	if projection != "q_proj" && projection != "k_proj" && projection != "v_proj" {
		return "", nil, false
	}
	for _, p := range []string{"q_proj", "k_proj", "v_proj"} {
		parts = append(parts, prefix+head+".self_attn."+p+"."+what)
	}
	tower, number, ok := strings.Cut(head, ".encoder.layers.")
	name = "transformer.resblocks." + number + ".attn.in_proj_" + what
	if tower == "vision_model" {
		name = "visual." + name
	}
	return name, parts, ok
}

// Describe returns type and shape of a tensor by OpenAI's name.
func (f *huggingFaceSource) Describe(name string) (weights.NamedTensor, error) {
	t, err := f.Stacked.Describe(name)
	if err == nil && f.turn[name] && len(t.Shape) == 2 {
		slices.Reverse(t.Shape)
	}
	return t, err
}

// Tensor returns a tensor by OpenAI's name. Joined and turned ones own their bytes.
func (f *huggingFaceSource) Tensor(name string) (weights.NamedTensor, error) {
	t, err := f.Stacked.Tensor(name)
	if err == nil && f.turn[name] {
		t, err = transpose(t)
	}
	return t, err
}

// transpose turns a matrix.
func transpose(t weights.NamedTensor) (weights.NamedTensor, error) {
	if len(t.Shape) != 2 {
		return t, fmt.Errorf("transpose tensor %q: shape %v, want two dimensions", t.Name, t.Shape)
	}
	if err := t.Validate(); err != nil {
		return t, err
	}
	h, w, size := int(t.Shape[0]), int(t.Shape[1]), t.DType.Size()
	out := make([]byte, len(t.Data))
	for y := range h {
		for x := range w {
			copy(out[(x*h+y)*size:(x*h+y+1)*size], t.Data[(y*w+x)*size:])
		}
	}
	t.Shape, t.Data, t.Held = []int64{int64(w), int64(h)}, out, false
	return t, nil
}
