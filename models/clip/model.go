// Package clip is CLIP (Radford et al. 2021): an image tower and a text tower into one space, in the keys of OpenAI's
// checkpoints (visual.transformer.resblocks.0.attn.in_proj_weight, …; github.com/openai/CLIP at d05afc4,
// clip/model.py). [Keys] shows the checkpoints of Hugging Face and OpenCLIP under the same names, and [ConfigOf] reads
// the sizes from the weights, so that any model of these shapes loads.
//
// A [Model] is the network as it is stored; its gradients flow. An [Encoder] is the image tower prepared for inference.
// Both give the pooled features (EncodeImage) and the tokens before pooling (Tokens), as a memory for a decoder to look
// at.
//
// It does not do: images of other sizes than ImageSize (no position is interpolated), dropout, updates of batch
// statistics, and OpenCLIP's variants with other parts (layer scale, attention pooling of a ViT, text towers of Hugging
// Face). Pixels and words are other rooms' work.
//
// Letters in shapes: B images or texts, T tokens, C width, H heads, D head size, E the common space.
package clip

import (
	"fmt"
	"strings"

	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
)

// normEpsilon is the epsilon of every normalization, of layers and of batches.
const normEpsilon = 1e-5

// What every published model wants done to its images: the shorter side scaled to ImageSize, the middle cut out, and
// then x = (pixel - Mean)/Std for pixels of 0 to 255.
var (
	Mean = [3]float64{0.48145466 * 255, 0.4578275 * 255, 0.40821073 * 255}
	Std  = [3]float64{0.26862954 * 255, 0.26130258 * 255, 0.27577711 * 255}
)

// Model is CLIP. One of ViT and ResNet is nil.
type Model struct {
	Config     Config
	ViT        *VisionTransformer `key:"visual"`
	ResNet     *ModifiedResNet    `key:"visual"`
	Text       *TextTransformer   `key:""`            // nil without a text tower
	LogitScale *torch.Tensor      `key:"logit_scale"` // logarithm of the inverse temperature; nil without a text tower

	trace func(name string, t *torch.Tensor) // tests look at every map through it
}

// New makes a model with unset weights; Load fills them. Run it inside torch.Do; Free releases it.
func New(c Config) (*Model, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	m := &Model{Config: c}
	if c.IsResNet() {
		m.ResNet = newResNet(c)
	} else {
		m.ViT = newViT(c)
	}
	if c.Text != nil {
		m.Text = newText(c)
		m.LogitScale = torch.Empty(torch.Float32, torch.CPU).Keep()
	}
	return m, nil
}

// Load fills the model from a checkpoint in OpenAI's keys (see Keys), of any floating-point type. What such files hold
// beside the weights is left unread (input_resolution, context_length, vocab_size, attn_mask, counters of batches), and
// so is the text tower in a model without.
func (m *Model) Load(src weights.Source, o nn.LoadOptions) error {
	ignore := o.Ignore
	o.Ignore = func(name string) bool {
		switch key := strings.TrimPrefix(name, o.Prefix); key {
		case "input_resolution", "context_length", "vocab_size", "attn_mask":
			return true
		default:
			return strings.HasSuffix(key, ".num_batches_tracked") ||
				m.Text == nil && !strings.HasPrefix(key, "visual.") ||
				ignore != nil && ignore(name)
		}
	}
	return nn.Load(m, src, o)
}

// Free releases the weights.
func (m *Model) Free() { nn.Free(m) }

// EncodeImage gives the features of normalized images x [B, 3, ImageSize, ImageSize]: [B, Pooled]. They are not of
// unit length.
func (m *Model) EncodeImage(x *torch.Tensor) *torch.Tensor {
	nn.CheckImages("clip", x, m.Config.Vision.ImageSize)
	if m.ResNet != nil {
		return m.ResNet.Pool.forward(m.ResNet.features(x, m.see), 1).Squeeze(1) // [B, 1, E]
	}
	return m.pool(m.ViT.features(x, m.see))
}

// pool gives the features of an image from a ViT's tokens behind the last block, [B, T, C] -> [B, Pooled].
func (m *Model) pool(x *torch.Tensor) *torch.Tensor {
	return m.ViT.project(m.ViT.Post.Forward(x.Select(1, 0)))
}

// Tokens gives the tokens of normalized images x [B, 3, ImageSize, ImageSize] before they are pooled: [B, tokens,
// width] as Config.Tokens has it.
func (m *Model) Tokens(x *torch.Tensor, f Form) (*torch.Tensor, error) {
	if _, _, err := m.Config.Tokens(f); err != nil {
		return nil, err
	}
	nn.CheckImages("clip", x, m.Config.Vision.ImageSize)
	if m.ResNet != nil {
		x = m.ResNet.features(x, m.see)
		if f == Projected {
			return m.ResNet.Pool.forward(x, -1), nil
		}
		return rows(x), nil
	}
	return m.formed(m.ViT.features(x, m.see), f), nil
}

// formed gives a ViT's tokens behind the last block in one of their forms.
func (m *Model) formed(x *torch.Tensor, f Form) *torch.Tensor {
	if f == Raw {
		return x
	}
	if x = m.ViT.Post.Forward(x); f == Normed {
		return x
	}
	return m.ViT.project(x)
}

// EncodeText gives the features of texts as ids: [B, E], not of unit length. Each text begins with the start token,
// ends with the end token, which has the highest id of all, and has at most Context tokens.
func (m *Model) EncodeText(texts [][]int32) (*torch.Tensor, error) {
	if m.Text == nil {
		return nil, fmt.Errorf("clip: encode text with a model without a text tower")
	}
	ids, ends, err := m.Text.pad(texts, *m.Config.Text)
	if err != nil {
		return nil, err
	}
	return m.Text.forward(ids, ends, m.see), nil
}

// Logits compares images and texts by their features, [B, E] and [T, E]: the cosines times the inverse temperature,
// [B, T].
func (m *Model) Logits(images, texts *torch.Tensor) *torch.Tensor {
	return Unit(images).Matmul(Unit(texts).Transpose(0, 1)).Mul(m.LogitScale.Exp())
}

// Unit scales features [..., E] to unit length.
func Unit(x *torch.Tensor) *torch.Tensor { return x.Div(x.Mul(x).SumDim(-1, true).Sqrt()) }

func (m *Model) see(name string, t *torch.Tensor) {
	if m.trace != nil {
		m.trace(name, t)
	}
}

// see is told the maps by their module's name.
type see func(name string, t *torch.Tensor)

// rows turns a map [B, C, h, w] into tokens [B, h w, C], row by row.
func rows(x *torch.Tensor) *torch.Tensor { return x.Flatten(2, 3).Transpose(1, 2).Contiguous() }
