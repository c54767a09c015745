package captioner

import (
	"fmt"

	"captioner/models/gpt2"
	"captioner/torch"
	"captioner/torch/nn"
)

// Model is the part of a captioner that learns from captions: memory and decoder, over features that the encoder made. It works inside
// torch.Do; Free releases it.
type Model struct {
	Memory  *memory     `key:"memory"`
	Decoder *gpt2.Model `key:"decoder"`
}

// NewModel makes a model with unset weights: Init or nn.Load fills them.
func NewModel(c Config) (*Model, error) {
	if err := c.validateModel(); err != nil {
		return nil, fmt.Errorf("captioner config: %w", err)
	}
	d, err := gpt2.New(c.Decoder)
	if err != nil {
		return nil, err
	}
	return &Model{Memory: newMemory(c.Memory, c.Decoder.Width), Decoder: d}, nil
}

// Init draws new weights with torch's generator.
func (m *Model) Init() {
	m.Decoder.Init()
	m.Memory.init()
}

// Logits gives [N, V] for every token of the batch, from features [G, P, In] of G images; features nil trains the decoder on text alone.
func (m *Model) Logits(b *gpt2.Batch, features *torch.Tensor, train bool) *torch.Tensor {
	if features == nil {
		return m.Decoder.Forward(b, nil, train)
	}
	return m.Decoder.Forward(b, m.Memory.forward(features, train), train)
}

// Free releases the weights.
func (m *Model) Free() { nn.Free(m) }
