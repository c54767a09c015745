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
	_, own, visual := strings.Cut(name, "visual.")
	if err != nil || !visual || !t.DType.Float() || t.DType == weights.F16 || !halved.MatchString(own) {
		return t, err
	}
	return t.Convert(weights.F16)
}
