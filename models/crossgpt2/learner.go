package crossgpt2

import (
	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/torch/nn"
	"captioner/weights"
)

var _ family.Trainable = Decoder{}

// Depth is how many layers the GPT-2 has.
func (d Decoder) Depth() int { return d.Layers }

// Habits are none: what package train takes by default is for this family.
func (d Decoder) Habits() *family.Habits { return nil }

// WithDropout is the decoder with other dropout.
func (d Decoder) WithDropout(p family.Dropout) family.Trainable {
	d.ResidualDrop, d.EmbeddingDrop, d.AttentionDrop = p.Parts, p.Input, p.Attention
	return d
}

// LoadLearner reads memory and decoder for training, in float32.
func (d Decoder) LoadLearner(src weights.Source, m encoder.Memory, o nn.LoadOptions) (family.Learner, error) {
	if err := d.matches(src); err != nil {
		return nil, err
	}
	model, err := newModel(d.Config, m)
	if err != nil {
		return nil, err
	}
	if err := nn.Load(model, src, o); err != nil {
		model.Free()
		return nil, err
	}
	return model, nil
}
