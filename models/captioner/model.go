package captioner

import (
	"fmt"

	"captioner/models/efficientnet"
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

// Encoder turns prepared pictures into the features that a memory looks at. It works inside torch.Do; Free releases it.
type Encoder struct {
	eye    Eye
	memory Memory
	net    network
}

// chunk is how many pictures are turned into numbers at once: as bytes they take a quarter of the room.
const chunk = 4

// Features maps the pixels of n prepared pictures (n·Size·Size·3 bytes, packed RGB) to [n, P, In] in float32. A picture's features do not
// depend on the others.
func (e *Encoder) Features(pixels []byte, n int) *torch.Tensor {
	return e.parts(pixels, n, func(x *torch.Tensor) *torch.Tensor { return e.net.features(x, e.memory) })
}

// parts runs f on the normalised pixels of some pictures at a time.
func (e *Encoder) parts(pixels []byte, n int, f func(*torch.Tensor) *torch.Tensor) *torch.Tensor {
	return torch.Tidy1(func() *torch.Tensor {
		size := e.eye.Preprocess.Size
		var parts []*torch.Tensor
		for i := 0; i < n; i += chunk {
			some := min(chunk, n-i)
			parts = append(parts, torch.Tidy1(func() *torch.Tensor {
				return f(e.normalise(pixels[i*size*size*3:(i+some)*size*size*3], int64(some)))
			}))
		}
		if len(parts) == 1 {
			return parts[0]
		}
		return torch.Cat(0, parts...)
	})
}

// normalise maps packed RGB pixels of n pictures to [n, 3, Size, Size].
func (e *Encoder) normalise(pixels []byte, n int64) *torch.Tensor {
	p := e.eye.Preprocess
	return efficientnet.Input(pixels, n, int64(p.Size), int64(p.Size), p.Mean, p.Std)
}

// Free releases the weights.
func (e *Encoder) Free() { e.net.Free() }
