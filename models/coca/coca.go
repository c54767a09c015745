// Package coca is CoCa (Yu et al. 2022, https://arxiv.org/abs/2205.01917) as open_clip has it
// (github.com/mlfoundations/open_clip at v3.3.0, coca_model.py and transformer.py), in the keys of its checkpoints: a
// ViT, whose tokens an attentional pooler sums up; half of a text decoder that sees the text alone; and a half whose
// blocks take turns with blocks of cross-attention to the image. What compares images with texts is left out.
//
// A [Model] holds the weights; a [Decoder] is what writes, prepared for inference, and a [Session] generates with it.
// The image tower is models/clip's, as far as its last block.
//
// It does not do: text towers of Hugging Face, a second pooler, layer scale, QuickGELU, training.
//
// Letters in shapes: B images, R rows, T tokens, P tokens of an image, Q the pooler's queries, C width, H heads, D head
// size, V vocabulary.
package coca

import (
	"captioner/models/clip"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
)

const normEpsilon = 1e-5

// Model is the weights of what writes. It gives nothing itself: see Decoder.
type Model struct {
	Config    Config
	Pool      Pooler           `key:"visual.attn_pool"`
	Post      nn.LayerNorm     `key:"visual.ln_post"` // of what the pooler gives
	Tokens    nn.Embedding     `key:"text.token_embedding"`
	Positions *torch.Tensor    `key:"text.positional_embedding"` // [Context+1, C]
	Text      clip.Transformer `key:"text.transformer"`
	Self      []clip.Block     `key:"text_decoder.resblocks"`  // each goes before
	Cross     []Cross          `key:"text_decoder.cross_attn"` // the one of its number here
	Norm      nn.LayerNorm     `key:"text_decoder.ln_final"`
	Words     *torch.Tensor    `key:"text_decoder.text_projection"` // [C, V]
}

// Pooler asks the tokens of an image a fixed number of learnt questions: PyTorch's MultiheadAttention.
type Pooler struct {
	Query     *torch.Tensor `key:"query"` // [Q, C]
	QueryNorm nn.LayerNorm  `key:"ln_q"`
	ImageNorm nn.LayerNorm  `key:"ln_k"`
	Attn      PoolerWeights `key:"attn"`
}

// PoolerWeights are joined where an image's tokens are as wide as the text's, and apart otherwise.
type PoolerWeights struct {
	Joined *torch.Tensor `key:"in_proj_weight"` // [3C, C], or nil
	Q      *torch.Tensor `key:"q_proj_weight"`  // [C, C]
	K      *torch.Tensor `key:"k_proj_weight"`  // [C, image]
	V      *torch.Tensor `key:"v_proj_weight"`  // [C, image]
	Bias   *torch.Tensor `key:"in_proj_bias"`   // [3C]
	Out    nn.Linear     `key:"out_proj"`
}

// Cross is a block whose queries come from the text, and keys and values from the image.
type Cross struct {
	clip.Block `key:""`
	ImageNorm  nn.LayerNorm `key:"ln_1_kv"`
}

// New makes a model with unset weights; Load fills them. Run it inside torch.Do; Free releases it.
func New(c Config) (*Model, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	norm := func(width int64) nn.LayerNorm { return nn.NewLayerNorm(width, normEpsilon) }
	m := &Model{
		Config:    c,
		Pool:      newPooler(c),
		Post:      norm(c.Width),
		Tokens:    nn.NewEmbedding(c.VocabSize, c.Width),
		Positions: nn.NewParam(c.Context+1, c.Width),
		Text:      clip.NewTransformer(c.Text.Layers, c.Width, c.Text.MLP, c.Text.Heads, nn.GELU),
		Norm:      norm(c.Width),
		Words:     nn.NewParam(c.Width, c.VocabSize),
	}
	t := c.Multimodal
	m.Self = clip.NewTransformer(t.Layers, c.Width, t.MLP, t.Heads, nn.GELU).Blocks
	for _, b := range clip.NewTransformer(t.Layers, c.Width, t.MLP, t.Heads, nn.GELU).Blocks {
		m.Cross = append(m.Cross, Cross{b, norm(c.Width)})
	}
	return m, nil
}

func newPooler(c Config) Pooler {
	p := Pooler{
		Query:     nn.NewParam(c.Queries, c.Width),
		QueryNorm: nn.NewLayerNorm(c.Width, normEpsilon),
		ImageNorm: nn.NewLayerNorm(c.Image, normEpsilon),
		Attn:      PoolerWeights{Bias: nn.NewParam(3 * c.Width), Out: nn.NewLinear(c.Width, c.Width, true)},
	}
	if c.Image == c.Width {
		p.Attn.Joined = nn.NewParam(3*c.Width, c.Width)
		return p
	}
	p.Attn.Q = nn.NewParam(c.Width, c.Width)
	p.Attn.K, p.Attn.V = nn.NewParam(c.Width, c.Image), nn.NewParam(c.Width, c.Image)
	return p
}

// projections are the weights of the queries [C, C] and, one below the other, of keys and values [2C, image].
func (w *PoolerWeights) projections() (q, kv *torch.Tensor) {
	if w.Joined == nil {
		return w.Q.Detach(), torch.Cat(0, w.K.Detach(), w.V.Detach())
	}
	c := w.Joined.Dim(1)
	return w.Joined.Detach().Narrow(0, 0, c), w.Joined.Detach().Narrow(0, c, 2*c)
}

// Load fills the model from a checkpoint in the keys of Keys, of any floating-point type.
func (m *Model) Load(src weights.Source, o nn.LoadOptions) error { return nn.Load(m, src, o) }

// Free releases the weights.
func (m *Model) Free() { nn.Free(m) }
