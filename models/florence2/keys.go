package florence2

import (
	"fmt"
	"slices"
	"strings"

	"captioner/weights"
)

// The tensors that tell a checkpoint of Hugging Face and one of Florence-2's authors.
const (
	huggingFaceMark = "multi_modal_projector.image_proj_norm.weight"
	authorsMark     = "image_proj_norm.weight"
	projection      = "multi_modal_projector.image_projection.weight"
)

// tokenTables are the names under which files hold the one table of tokens, in the order of who is asked.
var tokenTables = []string{
	"language_model.shared.weight",
	"language_model.encoder.embed_tokens.weight",
	"language_model.decoder.embed_tokens.weight",
	"lm_head.weight",
}

// Keys shows the projector and the text side of a checkpoint of Florence-2 under Hugging Face's names without
// "model.": "multi_modal_projector.…", "language_model.…". With untied lm_head.weight is there, too. The view owns src.
func Keys(src weights.Source, untied bool) (weights.Source, error) {
	names := src.Names()
	at := slices.IndexFunc(names, func(n string) bool { return strings.HasSuffix(n, authorsMark) })
	if at < 0 {
		const message = "read Florence-2's weights: found %d tensors, none of them %q or %q"
		return nil, fmt.Errorf(message, len(names), huggingFaceMark, authorsMark)
	}
	prefix, huggingFace := strings.CutSuffix(names[at], huggingFaceMark)
	ours := huggingFaceNames(prefix)
	if !huggingFace {
		ours = authorsNames(strings.TrimSuffix(names[at], authorsMark))
	}
	table := "" // the name of the table of tokens that is taken
	for _, n := range tokenTables {
		if slices.ContainsFunc(names, func(name string) bool { return ours(name) == n }) {
			table = n
			break
		}
	}
	view, err := weights.Rename(src, func(name string) (string, bool) {
		name = ours(name)
		switch {
		case untied && name == "lm_head.weight":
			return name, true
		case name == table:
			return tokenTables[0], true
		}
		return name, name != "" && !slices.Contains(tokenTables, name)
	})
	if err != nil || huggingFace {
		return view, err
	}
	return turned{view}, nil
}

// huggingFaceNames gives our name of a tensor, "" where it is none of ours. Those of the model begin with prefix.
func huggingFaceNames(prefix string) func(name string) string {
	return func(name string) string {
		rest, ok := strings.CutPrefix(name, prefix)
		switch {
		case ok && strings.HasPrefix(rest, "vision_tower."):
			return ""
		case ok:
			return rest
		case strings.HasSuffix(name, "lm_head.weight"):
			return "lm_head.weight"
		}
		return name // unknown: the strict load names it
	}
}

// authorsNames is huggingFaceNames for the names of Florence-2's authors.
func authorsNames(prefix string) func(name string) string {
	return func(name string) string {
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok || strings.HasPrefix(rest, "vision_tower.") {
			return ""
		}
		for _, pair := range [][2]string{
			{"language_model.model.", "language_model."},
			{"language_model.lm_head.", "lm_head."},
			{"language_model.final_logits_bias", "final_logits_bias"},
			{"image_projection", projection},
			{"image_proj_norm.", "multi_modal_projector.image_proj_norm."},
			{"image_pos_embed.", "multi_modal_projector.image_position_embed."},
			{"visual_temporal_embed.", "multi_modal_projector.visual_temporal_embed."},
		} {
			if tail, ok := strings.CutPrefix(rest, pair[0]); ok {
				return pair[1] + tail
			}
		}
		return rest
	}
}

// turned shows the authors' projection, which is [M, C], as Hugging Face's, [C, M].
type turned struct{ weights.Source }

// Describe returns type and shape of a tensor by its name.
func (s turned) Describe(name string) (weights.NamedTensor, error) {
	t, err := weights.Describe(s.Source, name)
	if name == projection && len(t.Shape) == 2 {
		slices.Reverse(t.Shape)
	}
	return t, err
}

// Tensor returns a tensor by its name.
func (s turned) Tensor(name string) (weights.NamedTensor, error) {
	t, err := s.Source.Tensor(name)
	if err != nil || name != projection || len(t.Shape) != 2 {
		return t, err
	}
	rows, columns, size := int(t.Shape[0]), int(t.Shape[1]), t.DType.Size()
	data := make([]byte, len(t.Data))
	for r := range rows {
		for c := range columns {
			copy(data[(c*rows+r)*size:(c*rows+r+1)*size], t.Data[(r*columns+c)*size:])
		}
	}
	t.Shape, t.Data, t.Held = []int64{t.Shape[1], t.Shape[0]}, data, false
	return t, nil
}
