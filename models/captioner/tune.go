package captioner

import (
	"fmt"

	"captioner/models/efficientnet"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
)

// Tuner is an encoder whose upper part learns: what is below a stage stays as it was, so that what enters the stage can be computed once a
// picture. It works inside torch.Do; Free releases it.
type Tuner struct {
	Stage int // that learning begins with; 0 is the whole encoder

	eye Eye
	net *efficientnet.Model
}

// TuneFrom is the stage that learning begins with where nobody says another: the last two stages. e is an EfficientNet.
func (e Eye) TuneFrom() int { return len(e.EfficientNet.Stages) - 2 }

// NewTuner makes a tuner of the encoder eye, stored in src under encoder.*, from a stage on.
func NewTuner(eye Eye, src weights.Source, stage int, dev torch.Device) (*Tuner, error) {
	if eye.EfficientNet == nil {
		return nil, fmt.Errorf("tune encoder: found %s, want an EfficientNet", eye.Architecture)
	}
	net, err := efficientnet.New(eye.EfficientNet.WithoutHead())
	if err != nil {
		return nil, err
	}
	t := &Tuner{Stage: stage, eye: eye, net: net}
	if err := net.Load(src, nn.LoadOptions{Prefix: encoderPrefix, Device: dev, Own: true, Ignore: notEncoder}); err != nil {
		net.Free()
		return nil, err
	}
	if _, err := net.Tunable(stage); err != nil {
		net.Free()
		return nil, err
	}
	return t, nil
}

// Params are the weights that learn, named as in a model file.
func (t *Tuner) Params() []nn.Param {
	params, err := t.net.Tunable(t.Stage)
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
func (t *Tuner) Features(x *torch.Tensor) *torch.Tensor { return t.net.Upper(x, t.Stage) }

// Pixels turns n prepared pictures (n·Size·Size·3 bytes, packed RGB) into what Features takes for stage 0.
func (t *Tuner) Pixels(pixels []byte, n int, dev torch.Device) *torch.Tensor {
	p := t.eye.Preprocess
	return torch.Tidy1(func() *torch.Tensor {
		return efficientnet.Input(pixels, int64(n), int64(p.Size), int64(p.Size), p.Mean, p.Std).ToDevice(dev)
	})
}

// Tensors are all weights of the encoder as Save takes them, and their SHA-256, which stands for that of a file.
func (t *Tuner) Tensors() (out []weights.NamedTensor, sum string, err error) {
	for _, n := range nn.Save(t.net, encoderPrefix) {
		n, err := compact(n)
		if err != nil {
			return nil, "", fmt.Errorf("save encoder: %w", err)
		}
		out = append(out, n)
	}
	return out, weightsSum(out), nil
}

// Free releases the weights.
func (t *Tuner) Free() { t.net.Free() }

// Lower maps the pixels of n prepared pictures to what enters a stage behind stage 0, [n, P, C] in float32.
func (e *Encoder) Lower(pixels []byte, n, stage int) *torch.Tensor {
	net, ok := e.net.(efficientNetEye)
	if !ok {
		torch.Fail("tune encoder", "%s has no stages, want an EfficientNet", e.eye.Architecture)
	}
	return e.parts(pixels, n, func(x *torch.Tensor) *torch.Tensor { return net.Lower(x, stage) })
}
