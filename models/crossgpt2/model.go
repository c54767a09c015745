// Package crossgpt2 is the captioner that this program trains: a memory of an image's features, and a GPT-2 that looks
// at it by cross-attention. clip-text-decoder from 1.1.0 on and Hugging Face's VisionEncoderDecoderModel with GPT-2 are
// of this family too.
//
// It does not know files: package checkpoint opens and writes them.
//
// Letters in shapes: B images, P positions, C channels, N tokens of a batch, V vocabulary.
package crossgpt2

import (
	"fmt"

	"captioner/models/batch"
	"captioner/models/decode"
	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/models/gpt2"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
)

// Model is the part of a captioner that learns from captions: memory and decoder, over features that the encoder made.
// It works inside torch.Do; Free releases it.
type Model struct {
	Memory  *Memory     `key:"memory"`
	Decoder *gpt2.Model `key:"decoder"`
}

// New makes a model with unset weights: Init or Load fills them.
func New(c family.Config) (*Model, error) {
	if err := c.ValidateDecoder(); err != nil {
		return nil, fmt.Errorf("captioner config: %w", err)
	}
	net, ok := Sizes(c)
	if !ok {
		return nil, fmt.Errorf("captioner config: found the decoder %q, want GPT-2", c.Decoder.Key())
	}
	return newModel(net, c.Memory)
}

func newModel(net gpt2.Config, m encoder.Memory) (*Model, error) {
	d, err := gpt2.New(net)
	if err != nil {
		return nil, err
	}
	return &Model{Memory: newMemory(m, net.Width), Decoder: d}, nil
}

// Load makes the model that c describes from its weights in src, by the names of a model file. In float32; own gives it
// memory that training may change.
func Load(c family.Config, src weights.Source, dev torch.Device, own bool) (*Model, error) {
	if d, ok := c.Decoder.(Decoder); ok {
		if err := d.matches(src); err != nil {
			return nil, err
		}
	}
	m, err := New(c)
	if err != nil {
		return nil, err
	}
	if err := nn.Load(m, src, nn.LoadOptions{Device: dev, Own: own, Ignore: encoder.Owns}); err != nil {
		m.Free()
		return nil, err
	}
	return m, nil
}

// Init draws new weights with torch's generator.
func (m *Model) Init() {
	m.Decoder.Init()
	m.Memory.init()
}

// Logits gives [N, V] for every token of the batch, from features [B, P, C] of its images; features nil trains the
// decoder on text alone.
func (m *Model) Logits(b *batch.Texts, features *torch.Tensor, train bool) *torch.Tensor {
	if features == nil {
		return m.Decoder.Forward(b, nil, train)
	}
	return m.Decoder.Forward(b, m.Memory.forward(features, train), train)
}

// Decode finds the texts of n images from their features [n, P, C]. d is m's decoder, prepared for inference.
func (m *Model) Decode(
	d *gpt2.Decoder,
	features *torch.Tensor,
	n int,
	o decode.Options,
) ([][]decode.Hypothesis, error) {
	return family.Search(&Writer{m.Memory, d}, features, n, o)
}

// Free releases the weights.
func (m *Model) Free() { nn.Free(m) }
