// Package clipdecoder10 is the decoder of clip-text-decoder 1.0.0 (its model.py): the decoder of Vaswani et al. 2017
// (https://arxiv.org/abs/1706.03762, figure 1, right) as torch's nn.TransformerDecoder has it, with the norm after each
// addition and ReLU between the two layers of a block, over a memory of one position, the image's embedding under batch
// normalization. Keys are those of its checkpoints.
//
// It is for inference alone: what trains here is GPT-2. Everything works inside torch.Do.
package clipdecoder10

import (
	"errors"
	"fmt"
	"strings"

	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
	"captioner/weights/plural"
)

// Config is the sizes of a decoder.
type Config struct {
	Layers    int64 `json:"layers"`
	Width     int64 `json:"width"`
	Heads     int64 `json:"heads"`
	Inner     int64 `json:"inner"`
	VocabSize int64 `json:"vocab_size"`
	Positions int64 `json:"positions"`
}

// defaultHeads is the constructor's number of heads, which no weight tells and train.py has no flag for.
const defaultHeads = 8

// Model is ClipDecoder.
type Model struct {
	Norm      nn.BatchNorm2d `key:"norm"`                          // over the memory's channels
	Table     nn.Embedding   `key:"embedding.embedding"`           // [V, C]
	Positions *torch.Tensor  `key:"positional_encoding.encodings"` // [n, 1, C]
	Layers    []Layer        `key:"transformer.layers"`
	Project   nn.Linear      `key:"linear"` // [V, C]

	Config Config
}

// Layer is nn.TransformerDecoderLayer.
type Layer struct {
	Self  Attention    `key:"self_attn"`
	Cross Attention    `key:"multihead_attn"`
	Up    nn.Linear    `key:"linear1"`
	Down  nn.Linear    `key:"linear2"`
	Norm1 nn.LayerNorm `key:"norm1"`
	Norm2 nn.LayerNorm `key:"norm2"`
	Norm3 nn.LayerNorm `key:"norm3"`
}

// Attention is nn.MultiheadAttention: queries, keys and values in one matrix.
type Attention struct {
	QKV  *torch.Tensor `key:"in_proj_weight"` // [3C, C]
	Bias *torch.Tensor `key:"in_proj_bias"`   // [3C]
	Out  nn.Linear     `key:"out_proj"`       // [C, C]
}

// New makes a decoder with unset weights, which nn.Load fills.
func New(c Config) (*Model, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	empty := func(shape ...int64) *torch.Tensor { return torch.Empty(torch.Float32, torch.CPU, shape...).Keep() }
	attention := func() Attention {
		return Attention{empty(3*c.Width, c.Width), empty(3 * c.Width), nn.NewLinear(c.Width, c.Width, true)}
	}
	norm := func() nn.LayerNorm { return nn.NewLayerNorm(c.Width, 1e-5) }
	m := &Model{
		Norm:      nn.NewBatchNorm2d(c.Width, 1e-5),
		Table:     nn.NewEmbedding(c.VocabSize, c.Width),
		Positions: empty(c.Positions, 1, c.Width),
		Project:   nn.NewLinear(c.Width, c.VocabSize, true),
		Config:    c,
	}
	for range c.Layers {
		m.Layers = append(
			m.Layers,
			Layer{
				attention(),
				attention(),
				nn.NewLinear(c.Width, c.Inner, true),
				nn.NewLinear(c.Inner, c.Width, true),
				norm(),
				norm(),
				norm(),
			},
		)
	}
	return m, nil
}

// check bounds the sizes.
func (c Config) check() error {
	for _, n := range []int64{c.Layers, c.Width, c.Heads, c.Inner, c.VocabSize, c.Positions} {
		if n < 1 || n > 1<<24 {
			return fmt.Errorf("transformer: found sizes %+v, want each from 1 to 2^24", c)
		}
	}
	if c.Layers > 1024 || c.Width%c.Heads != 0 {
		return fmt.Errorf(
			"transformer: found %s and %s for width %d, want at most 1024, and heads that divide it",
			plural.Count(c.Layers, "layer"),
			plural.Count(c.Heads, "head"),
			c.Width,
		)
	}
	return nil
}

// Free releases the weights.
func (m *Model) Free() { nn.Free(m) }

// ErrNone says that a checkpoint holds another network.
var ErrNone = errors.New("transformer: found no embedding.embedding.weight and linear.weight")

// Keys shows a checkpoint's decoder in the keys of ClipDecoder's state dict, below whatever prefix they stand.
func Keys(src weights.Source) (weights.Source, error) {
	const mark = "embedding.embedding.weight"
	for _, n := range src.Names() {
		prefix, ok := strings.CutSuffix(n, mark)
		if !ok {
			continue
		}
		if _, err := src.Tensor(prefix + "positional_encoding.encodings"); err != nil {
			continue
		}
		return weights.Rename(src, func(n string) (string, bool) {
			rest, ok := strings.CutPrefix(n, prefix)
			return rest, ok && !strings.HasSuffix(rest, ".num_batches_tracked")
		})
	}
	return nil, ErrNone
}

// ConfigOf reads the sizes off the weights, in the keys of Keys. The number of heads is the constructor's default:
// change the field where more is known.
func ConfigOf(src weights.Source) (Config, error) {
	shapes := weights.ShapesOf(src)
	table := shapes.Of("embedding.embedding.weight", 2) // [V, C]
	c := Config{
		Heads: defaultHeads, VocabSize: table[0], Width: table[1],
		Positions: shapes.Of("positional_encoding.encodings", 3)[0],
		Inner:     shapes.Of("transformer.layers.0.linear1.weight", 2)[0],
		Layers:    int64(shapes.Blocks("transformer.layers.")),
	}
	if err := shapes.Err(); err != nil {
		return Config{}, fmt.Errorf("read the transformer's sizes: %w", err)
	}
	return c, c.check()
}
