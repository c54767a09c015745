package captioner

import (
	"errors"
	"fmt"
	"strings"

	"captioner/data/image"
	"captioner/models/clip"
	"captioner/models/efficientnet"
	"captioner/models/vit"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
)

// Eye is the vision encoder and what a picture goes through before it. One of its architectures is set.
type Eye struct {
	Architecture string               `json:"architecture"` // "efficientnet-lite2", "ViT-B/32" and the like, for people
	EfficientNet *efficientnet.Config `json:"efficientnet,omitempty"`
	CLIP         *clip.Config         `json:"clip,omitempty"` // of the image tower alone
	BLIP         *vit.Config          `json:"blip,omitempty"`
	ViT          *vit.Config          `json:"vit,omitempty"` // Hugging Face's ViTModel
	Preprocess   image.Preprocess     `json:"preprocess"`
	SHA256       string               `json:"sha256,omitempty"` // of the file that the weights came from, or of the weights where they were trained further
}

// Validate reports the first thing that does not fit.
func (e Eye) Validate() error {
	var size int64
	var err error
	switch {
	case e.architectures() > 1:
		return errors.New("encoder: found two architectures, want one")
	case e.EfficientNet != nil:
		size, err = int64(e.Preprocess.Size), e.EfficientNet.Validate() // takes any size
	case e.CLIP != nil:
		size, err = e.CLIP.Vision.ImageSize, e.CLIP.Validate()
	case e.plain() != nil:
		size, err = e.plain().ImageSize, e.plain().Validate()
	default:
		return fmt.Errorf("encoder: found no architecture that this version knows (%q)", e.Architecture)
	}
	if err != nil {
		return fmt.Errorf("encoder: %w", err)
	}
	if int64(e.Preprocess.Size) != size {
		return fmt.Errorf("encoder: found pictures of %d pixels, want the %d of %s", e.Preprocess.Size, size, e.Architecture)
	}
	return e.Preprocess.Validate()
}

func (e Eye) architectures() (n int) {
	for _, set := range []bool{e.EfficientNet != nil, e.CLIP != nil, e.BLIP != nil, e.ViT != nil} {
		if set {
			n++
		}
	}
	return n
}

// plain is the ViT that BLIP and Hugging Face's ViTModel are.
func (e Eye) plain() *vit.Config {
	if e.BLIP != nil {
		return e.BLIP
	}
	return e.ViT
}

// shape is how many vectors of which width a memory of m's kind gets for a picture.
func (e Eye) shape(m Memory) (places, width int64, err error) {
	switch {
	case e.EfficientNet != nil:
		if m.Form != "" && m.Form != string(clip.Raw) {
			return 0, 0, fmt.Errorf("memory: found form %q, want %q for an EfficientNet", m.Form, clip.Raw)
		}
		side := e.EfficientNet.GridSide(int64(e.Preprocess.Size))
		places, width = side*side, e.EfficientNet.GridChannels()
	case e.CLIP != nil:
		if places, width, err = e.CLIP.Tokens(m.form(*e.CLIP)); err != nil {
			return 0, 0, fmt.Errorf("memory: %w", err)
		}
		if m.pooled() {
			width = e.CLIP.Pooled()
		} else if m.Kind == Grid && !e.CLIP.IsResNet() {
			places-- // the class token is no place
		}
	case e.plain() != nil:
		if m.Form != "" && m.Form != string(clip.Normed) {
			return 0, 0, fmt.Errorf("memory: found form %q, want %q for BLIP and ViT", m.Form, clip.Normed)
		}
		if places, width = e.plain().Tokens(); m.Kind == Grid {
			places-- // the class token is no place
		}
	}
	if m.pooled() {
		places = 1
	}
	return places, width, nil
}

// network is an eye prepared for inference.
type network interface {
	// features maps normalised pictures [B, 3, n, n] to what a memory looks at, [B, P, In] in float32. A picture's do not depend on the others.
	features(x *torch.Tensor, m Memory) *torch.Tensor
	Free()
}

// load reads the network from src, where its tensors stand under encoderPrefix in the keys of its checkpoint, and prepares it in type d.
func (e Eye) load(src weights.Source, dev torch.Device, d torch.DType) (network, error) {
	o := nn.LoadOptions{Prefix: encoderPrefix, Device: dev, Ignore: notEncoder}
	switch {
	case e.EfficientNet != nil:
		net, err := efficientnet.New(e.EfficientNet.WithoutHead())
		if err != nil {
			return nil, err
		}
		defer net.Free()
		if err := net.Load(src, o); err != nil {
			return nil, err
		}
		if dev == torch.CPU {
			d = torch.Float32 // bfloat16 here changes one caption in eight, in the decoder alone one in seventy, and saves a third of the time
		}
		return efficientNetEye{net.Encoder(d)}, nil
	case e.CLIP != nil:
		net, err := clip.New(e.CLIP.WithoutText())
		if err != nil {
			return nil, err
		}
		defer net.Free()
		if !e.CLIP.IsResNet() { // the large ones are converted one by one as they are packed; a ResNet's are folded first
			o.Stored = func(n string) bool {
				return strings.Contains(n, ".resblocks.") && strings.HasSuffix(n, "weight") && !strings.Contains(n, ".ln_")
			}
		}
		if err := net.Load(src, o); err != nil {
			return nil, err
		}
		return clipEye{net.Encoder(d)}, nil
	case e.plain() != nil:
		net, err := vit.New(*e.plain())
		if err != nil {
			return nil, err
		}
		defer net.Free()
		if err := net.Load(src, o); err != nil {
			return nil, err
		}
		return vitEye{net.Encoder(d)}, nil
	}
	return nil, e.Validate()
}

type efficientNetEye struct{ *efficientnet.Encoder }

func (e efficientNetEye) features(x *torch.Tensor, m Memory) *torch.Tensor {
	return pooledGrid(e.Grid(x), m)
}

// pooledGrid is the grid [B, P, C], or its mean where the memory takes one vector a picture.
func pooledGrid(x *torch.Tensor, m Memory) *torch.Tensor {
	if m.pooled() {
		x = x.MeanDim(1, true)
	}
	return x
}

type clipEye struct{ *clip.Encoder }

func (e clipEye) features(x *torch.Tensor, m Memory) *torch.Tensor {
	if m.pooled() {
		return e.EncodeImage(x).Unsqueeze(1) // [B, E] -> [B, 1, E]
	}
	x, err := e.Tokens(x, m.form(e.Config)) // [B, T, C]
	if err != nil {
		torch.Fail("clip", "%v", err) // a valid Config has no such form
	}
	if e.Config.IsResNet() {
		return x
	}
	return places(x, m)
}

// places are the tokens [B, T, C] of a ViT that a memory looks at: a grid does without the class token.
func places(x *torch.Tensor, m Memory) *torch.Tensor {
	if m.Kind == Grid {
		x = x.Narrow(1, 1, x.Dim(1)-1)
	}
	return x
}

type vitEye struct{ *vit.Encoder }

func (e vitEye) features(x *torch.Tensor, m Memory) *torch.Tensor {
	if m.pooled() {
		return e.EncodeImage(x).Unsqueeze(1) // [B, C] -> [B, 1, C]
	}
	return places(e.Tokens(x), m) // [B, T, C]
}
