package clip

import (
	"regexp"
	"strings"

	"captioner/weights"
)

// halved matches the names, behind "visual.", of the image tower's tensors that clip.load keeps in float16 whatever the
// file has: those of convolutions, linear layers and attention, and the projection (openai/CLIP, clip/model.py,
// convert_weights). Norms, positions and the class token stay as they are.
var halved = regexp.MustCompile(`^(conv\d\.weight|proj|transformer\.resblocks\.\d+\.(attn|mlp)\..*|` +
	`layer\d\.\d+\.(conv\d|downsample\.0)\.weight|attnpool\.[qkvc]_proj\..*)$`)

// rounded shows tensors as clip.load gives them.
type rounded struct{ weights.Source }

// Rounded shows a checkpoint, in OpenAI's keys below any prefix, with the values that clip.load computes with: it
// rounds most weights to float16 before it makes them float32 again on a CPU. Of a file in float16 nothing changes. The
// view owns src.
func Rounded(src weights.Source) weights.Source { return rounded{src} }

// Tensor returns a tensor, in float16 where clip.load rounds it.
func (r rounded) Tensor(name string) (weights.NamedTensor, error) {
	t, err := r.Source.Tensor(name)
	if err != nil || !rounds(t) {
		return t, err
	}
	return t.Convert(weights.F16)
}

// Describe returns type and shape of a tensor.
func (r rounded) Describe(name string) (weights.NamedTensor, error) {
	t, err := weights.Describe(r.Source, name)
	if err == nil && rounds(t) {
		t.DType = weights.F16
	}
	return t, err
}

// rounds says whether clip.load rounds a tensor to float16.
func rounds(t weights.NamedTensor) bool {
	return t.DType.Float() && t.DType != weights.F16 && half(t.Name)
}

// half says whether clip.load has a tensor in float16, by its name.
func half(name string) bool {
	_, own, visual := strings.Cut(name, "visual.")
	return visual && halved.MatchString(own)
}

// unrounded is the source below Rounded, with the names that a load has to round, which libtorch does sooner; or src
// itself.
func unrounded(src weights.Source) (_ weights.Source, round func(name string) bool) {
	if r, ok := src.(rounded); ok {
		return r.Source, half
	}
	return src, nil
}
