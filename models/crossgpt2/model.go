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
	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/models/gpt2"
	"captioner/torch"
	"captioner/torch/nn"
)

var _ family.Learner = (*Model)(nil)

// Model is the part of a captioner that learns from captions: memory and decoder, over features that the encoder made.
// It works inside torch.Do; Free releases it.
type Model struct {
	Memory  *Memory     `key:"memory"`
	Decoder *gpt2.Model `key:"decoder"`
}

// New makes a model with unset weights, which Init fills.
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

// Shares is true: GPT-2 takes texts that share tokens.
func (m *Model) Shares() bool { return true }

// Module is the model: its tags are the names of a model file.
func (m *Model) Module() any { return m }

// Bare says whether a weight has no decay, by its name: those of positions.
func (m *Model) Bare(name string) bool {
	return name == "memory.rows" || name == "memory.columns" || name == "decoder.transformer.wpe.weight"
}

// Writer prepares the weights as they are for inference in type d. It shares the memory with m.
func (m *Model) Writer(d torch.DType) family.Writer {
	return &lent{Writer{m.Memory, m.Decoder.Decoder(d)}}
}

// lent is a Writer whose memory is a model's.
type lent struct{ Writer }

// Free releases the decoder.
func (w *lent) Free() { w.decoder.Free() }

// Free releases the weights.
func (m *Model) Free() { nn.Free(m) }
