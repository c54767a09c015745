package clip

import (
	"fmt"
	"math"

	"captioner/torch"
	"captioner/torch/nn"
)

// TextTransformer reads a text from left to right; what its end token becomes are the features of the text.
type TextTransformer struct {
	Tokens      nn.Embedding  `key:"token_embedding"`
	Positions   *torch.Tensor `key:"positional_embedding"` // [Context, C]
	Transformer Transformer   `key:"transformer"`
	Norm        nn.LayerNorm  `key:"ln_final"`
	Proj        *torch.Tensor `key:"text_projection"` // [C, E]
}

func newText(c Config) *TextTransformer {
	t := c.Text
	return &TextTransformer{
		Tokens: nn.NewEmbedding(t.VocabSize, t.Width), Positions: nn.NewParam(t.Context, t.Width),
		Transformer: NewTransformer(t.Layers, t.Width, t.MLP, t.Heads, activation(c)),
		Norm:        nn.NewLayerNorm(t.Width, normEpsilon), Proj: nn.NewParam(t.Width, c.EmbedDim),
	}
}

// pad puts texts side by side, zeros behind the shorter ones, and gives the place of each end token in the rows put end
// to end. The rows are as long as the longest text, not as Context: attention is causal, so what stands behind a text's
// end changes nothing.
func (m *TextTransformer) pad(texts [][]int32, c Text) (ids, ends *torch.Tensor, err error) {
	longest := 0
	for i, text := range texts {
		if len(text) == 0 || int64(len(text)) > c.Context {
			return nil, nil, fmt.Errorf("clip: text %d: found %d tokens, want 1 to %d", i, len(text), c.Context)
		}
		longest = max(longest, len(text))
	}
	if longest == 0 {
		return nil, nil, fmt.Errorf("clip: encode text: found no text, want 1 or more")
	}
	flat, last := make([]int64, len(texts)*longest), make([]int64, len(texts))
	for i, text := range texts {
		end := 0
		for j, id := range text {
			if id < 0 || int64(id) >= c.VocabSize {
				return nil, nil, fmt.Errorf("clip: text %d: found id %d, want 0 to %d", i, id, c.VocabSize-1)
			}
			if id > text[end] {
				end = j // the first of the highest, as in the reference
			}
			flat[i*longest+j] = int64(id)
		}
		last[i] = int64(i*longest + end)
	}
	dev := m.Proj.Device()
	return torch.FromSlice(
			flat,
			int64(len(texts)),
			int64(longest),
		).ToDevice(
			dev,
		), torch.FromSlice(
			last,
		).ToDevice(
			dev,
		), nil
}

// forward maps ids [B, T] to [B, E].
func (m *TextTransformer) forward(ids, ends *torch.Tensor, see see) *torch.Tensor {
	t, c := ids.Dim(1), m.Positions.Dim(1)
	x := m.Tokens.Forward(ids).Add(m.Positions.Narrow(0, 0, t)) // [B, T, C]
	mask := torch.Full(math.Inf(-1), x.DType(), x.Device(), t, t).Triu(1)
	x = m.Norm.Forward(m.Transformer.forward(x, mask, "transformer", see))
	see("ln_final", x)
	return x.View(-1, c).IndexSelect(0, ends).Matmul(m.Proj) // [B T, C] -> [B, C] -> [B, E]
}
