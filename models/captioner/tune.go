package captioner

import (
	"fmt"

	"captioner/models/clip"
	"captioner/models/efficientnet"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
)

// Tuner is an encoder whose upper part learns: what is below a stage stays as it was, so that what enters the stage can be computed once a
// picture. The stages of a ViT are its blocks. It works inside torch.Do; Free releases it.
type Tuner struct {
	Stage int // that learning begins with; 0 is the whole encoder

	eye    Eye
	memory Memory
	net    tunable
}

// tunable is a network whose gradients flow.
type tunable interface {
	Load(src weights.Source, o nn.LoadOptions) error
	Free()
	params(stage int, m Memory) ([]nn.Param, error)
	upper(x *torch.Tensor, stage int, m Memory) *torch.Tensor // [n, P, In]
	module() any
}

// Stages is how many stages or blocks the encoder has that learning may begin with.
func (e Eye) Stages() (int, error) {
	switch {
	case e.EfficientNet != nil:
		return len(e.EfficientNet.Stages), nil
	case e.CLIP != nil && !e.CLIP.IsResNet():
		return e.CLIP.Vision.Layers, nil
	}
	return 0, fmt.Errorf("train the encoder: found %s, want an EfficientNet or a ViT of CLIP", e.Architecture)
}

// TuneFrom is the stage that learning begins with where nobody says another: the last two stages or blocks.
func (e Eye) TuneFrom() int {
	n, _ := e.Stages()
	return max(0, n-2)
}

// NewTuner makes a tuner of the encoder eye, stored in src under encoder.*, from a stage on, for what m looks at.
func NewTuner(eye Eye, m Memory, src weights.Source, stage int, dev torch.Device) (*Tuner, error) {
	if _, err := eye.Stages(); err != nil {
		return nil, err
	}
	t := &Tuner{Stage: stage, eye: eye, memory: m}
	if eye.CLIP != nil {
		net, err := clip.New(eye.CLIP.WithoutText())
		if err != nil {
			return nil, err
		}
		t.net = clipTuner{net}
	} else {
		net, err := efficientnet.New(eye.EfficientNet.WithoutHead())
		if err != nil {
			return nil, err
		}
		t.net = efficientNetTuner{net}
	}
	if err := t.net.Load(src, nn.LoadOptions{Prefix: encoderPrefix, Device: dev, Own: true, Ignore: notEncoder}); err != nil {
		t.net.Free()
		return nil, err
	}
	if _, err := t.net.params(stage, m); err != nil {
		t.net.Free()
		return nil, err
	}
	return t, nil
}

type efficientNetTuner struct{ *efficientnet.Model }

func (e efficientNetTuner) module() any { return e.Model }

func (e efficientNetTuner) params(stage int, _ Memory) ([]nn.Param, error) { return e.Tunable(stage) }

func (e efficientNetTuner) upper(x *torch.Tensor, stage int, m Memory) *torch.Tensor {
	return pooledGrid(e.Upper(x, stage), m)
}

type clipTuner struct{ *clip.Model }

func (c clipTuner) module() any { return c.Model }

func (c clipTuner) params(stage int, m Memory) ([]nn.Param, error) {
	if m.pooled() {
		return c.Tunable(stage, clip.Projected)
	}
	return c.Tunable(stage, m.form(c.Config))
}

func (c clipTuner) upper(x *torch.Tensor, stage int, m Memory) *torch.Tensor {
	if m.pooled() {
		return c.UpperImage(x, stage).Unsqueeze(1) // [B, E] -> [B, 1, E]
	}
	return places(c.UpperTokens(x, stage, m.form(c.Config)), m)
}

// Params are the weights that learn, named as in a model file.
func (t *Tuner) Params() []nn.Param {
	params, err := t.net.params(t.Stage, t.memory)
	if err != nil {
		torch.Fail("tune encoder", "%v", err)
	}
	for i := range params {
		params[i].Name = encoderPrefix + params[i].Name
	}
	return params
}

// Features gives the features [n, P, In] of n pictures from what enters the stage: what Encoder.Lower gave, or for stage 0 what Pixels gives.
// Gradients flow to Params.
func (t *Tuner) Features(x *torch.Tensor) *torch.Tensor { return t.net.upper(x, t.Stage, t.memory) }

// Pixels turns n prepared pictures (n·Size·Size·3 bytes, packed RGB) into what Features takes for stage 0.
func (t *Tuner) Pixels(pixels []byte, n int, dev torch.Device) *torch.Tensor {
	p := t.eye.Preprocess
	return torch.Tidy1(func() *torch.Tensor {
		return efficientnet.Input(pixels, int64(n), int64(p.Size), int64(p.Size), p.Mean, p.Std).ToDevice(dev)
	})
}

// Tensors are all weights of the encoder as Save takes them, and their SHA-256, which stands for that of a file.
func (t *Tuner) Tensors() (out []weights.NamedTensor, sum string, err error) {
	for _, n := range nn.Save(t.net.module(), encoderPrefix) {
		n, err := compact(n)
		if err != nil {
			return nil, "", fmt.Errorf("save encoder: %w", err)
		}
		out = append(out, n)
	}
	return out, WeightsSum(out), nil
}

// Free releases the weights.
func (t *Tuner) Free() { t.net.Free() }

// Lower maps the pixels of n prepared pictures to what enters a stage behind stage 0, [n, P, C] in float32.
func (e *Encoder) Lower(pixels []byte, n, stage int) *torch.Tensor {
	switch net := e.net.(type) {
	case efficientNetEye:
		return e.parts(pixels, n, func(x *torch.Tensor) *torch.Tensor { return net.Lower(x, stage) })
	case clipEye:
		return e.parts(pixels, n, func(x *torch.Tensor) *torch.Tensor { return net.Lower(x, stage) })
	}
	torch.Fail("tune encoder", "%s has no stages, want an EfficientNet or a ViT of CLIP", e.eye.Architecture)
	return nil
}
