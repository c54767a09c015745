package encoder

import (
	"fmt"

	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
)

// Tuner is an encoder whose upper part learns. What is below a stage stays as it was, so that what enters the stage can
// be computed once for an image. Free releases it.
type Tuner struct {
	Stage int // that learning begins with; 0 is the whole encoder

	config  Config
	memory  Memory
	network Trainable
}

// Stages is how many stages or blocks the encoder has that learning may begin with.
func (c Config) Stages() (int, error) {
	if t, ok := c.Encoder.(Tunable); ok && t.TuneStages() > 0 {
		return t.TuneStages(), nil
	}
	return 0, fmt.Errorf("train the encoder: found %s, want an EfficientNet or a ViT", c.Architecture)
}

// TuneFrom is the stage that learning begins with by default: the last but one.
func (c Config) TuneFrom() int {
	n, _ := c.Stages()
	return max(0, n-2)
}

// NewTuner loads the encoder that c describes for training from a stage on, from src, where its tensors stand under
// Prefix. It gives what m looks at.
func NewTuner(c Config, m Memory, src weights.Source, stage int, dev torch.Device) (*Tuner, error) {
	if _, err := c.Stages(); err != nil {
		return nil, err
	}
	o := nn.LoadOptions{Prefix: Prefix, Device: dev, Own: true, Ignore: outside}
	network, err := c.Encoder.(Tunable).LoadTrainable(src, o)
	if err != nil {
		return nil, err
	}
	if _, err := network.Tunable(stage, m); err != nil {
		network.Free()
		return nil, err
	}
	return &Tuner{Stage: stage, config: c, memory: m, network: network}, nil
}

// Params are the weights that learn, named as in a model file.
func (t *Tuner) Params() []nn.Param {
	params, err := t.network.Tunable(t.Stage, t.memory)
	if err != nil {
		torch.Fail("tune encoder", "%v", err)
	}
	for i := range params {
		params[i].Name = Prefix + params[i].Name
	}
	return params
}

// Features gives the features [n, P, C] of n images from what enters the stage: what Runner.Lower gave, or for stage 0
// what Pixels gives. Gradients flow to Params.
func (t *Tuner) Features(x *torch.Tensor) *torch.Tensor { return t.network.Upper(x, t.Stage, t.memory) }

// Pixels turns n prepared images (n·Size·Size·3 bytes, packed RGB) into what Features takes for stage 0.
func (t *Tuner) Pixels(pixels []byte, n int, dev torch.Device) *torch.Tensor {
	return Pixels(pixels, n, t.config.Preprocess, dev)
}

// Tensors are all weights of the encoder as a model file stores them, and their SHA-256, which stands for that of a
// file.
func (t *Tuner) Tensors() (out []weights.NamedTensor, sum string, err error) {
	for _, n := range nn.Save(t.network.Module(), Prefix) {
		n, err := Compact(n)
		if err != nil {
			return nil, "", fmt.Errorf("save encoder: %w", err)
		}
		out = append(out, n)
	}
	return out, WeightsSum(out), nil
}

// Free releases the weights.
func (t *Tuner) Free() { t.network.Free() }
