// Package gpt2 is the decoder: GPT-2 (Radford et al. 2019) with cross-attention to a memory of image features, in the
// keys and the layout of Hugging Face's GPT2LMHeadModel (transformers v4.57.1, models/gpt2/modeling_gpt2.py).
//
// A [Model] trains: [Model.Forward] maps a [Batch] of captions, packed so that no padding passes through the linear
// layers, and one memory an image to logits. A [Decoder] is the same network prepared for generation, with a key/value
// cache in each [Session].
//
// It does not do: an untied output layer, token types, pruned heads, attention scaled by layer; [ParseConfig] refuses
// them.
//
// Letters in shapes: N tokens of a packed batch, B rows (captions), T positions of a row, G images, P positions of the
// memory, C width, H heads, D head size, V vocabulary. The rows of one image stand next to each other, and each image
// has B/G rows.
package gpt2

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"

	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
)

// Model is GPT2LMHeadModel. The output layer is the token embedding (tied), so lm_head.weight has no field.
type Model struct {
	Config      Config
	Transformer Transformer `key:"transformer"`

	trace func(name string, t *torch.Tensor) // tests look at every intermediate through it
}

// Transformer is the stack of blocks between the embeddings and the last norm.
type Transformer struct {
	Tokens    nn.Embedding `key:"wte"` // [V, C]
	Positions nn.Embedding `key:"wpe"` // [n_positions, C]
	Blocks    []Block      `key:"h"`
	Norm      nn.LayerNorm `key:"ln_f"`
}

// Block is one layer. CrossNorm and Cross are nil in a model without cross-attention.
type Block struct {
	SelfNorm  nn.LayerNorm    `key:"ln_1"`
	Self      SelfAttention   `key:"attn"`
	CrossNorm *nn.LayerNorm   `key:"ln_cross_attn"`
	Cross     *CrossAttention `key:"crossattention"`
	MLPNorm   nn.LayerNorm    `key:"ln_2"`
	MLP       MLP             `key:"mlp"`
}

// SelfAttention is causal attention over the row's own tokens.
type SelfAttention struct {
	QKV nn.Conv1D `key:"c_attn"` // C -> 3C: queries, keys, values
	Out nn.Conv1D `key:"c_proj"`
}

// CrossAttention is attention over the memory.
type CrossAttention struct {
	KV  nn.Conv1D `key:"c_attn"` // C -> 2C, of the memory: keys, values
	Q   nn.Conv1D `key:"q_attn"` // C -> C, of the text
	Out nn.Conv1D `key:"c_proj"`
}

// MLP widens, activates and narrows each token by itself.
type MLP struct {
	Up   nn.Conv1D `key:"c_fc"`
	Down nn.Conv1D `key:"c_proj"`
}

// New makes a model with unset weights: Init or Load fills them. Run it inside torch.Do; Free releases it.
func New(c Config) (*Model, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	m := &Model{Config: c, Transformer: Transformer{
		Tokens:    nn.NewEmbedding(c.VocabSize, c.Width),
		Positions: nn.NewEmbedding(c.Positions, c.Width),
		Blocks:    make([]Block, c.Layers),
		Norm:      nn.NewLayerNorm(c.Width, c.Epsilon),
	}}
	for i := range m.Transformer.Blocks {
		b := &m.Transformer.Blocks[i]
		b.SelfNorm = nn.NewLayerNorm(c.Width, c.Epsilon)
		b.Self = SelfAttention{QKV: nn.NewConv1D(c.Width, 3*c.Width), Out: nn.NewConv1D(c.Width, c.Width)}
		b.MLPNorm = nn.NewLayerNorm(c.Width, c.Epsilon)
		b.MLP = MLP{Up: nn.NewConv1D(c.Width, c.InnerWidth()), Down: nn.NewConv1D(c.InnerWidth(), c.Width)}
		if c.CrossAttention {
			norm := nn.NewLayerNorm(c.Width, c.Epsilon)
			b.CrossNorm = &norm
			b.Cross = &CrossAttention{
				KV:  nn.NewConv1D(c.Width, 2*c.Width),
				Q:   nn.NewConv1D(c.Width, c.Width),
				Out: nn.NewConv1D(c.Width, c.Width),
			}
		}
	}
	return m, nil
}

// Init draws new weights with torch's generator: normal with initializer_range, projections into the residual stream
// narrower by the root of their number (Radford et al. 2019, §2.3), norms 1 and biases 0.
func (m *Model) Init() {
	parts := 2
	if m.Config.CrossAttention {
		parts = 3
	}
	narrow := m.Config.InitRange / math.Sqrt(float64(parts*m.Config.Layers))
	for _, p := range nn.State(m) {
		switch {
		case strings.HasSuffix(p.Name, "bias"):
			nn.Constant(p.Tensor, 0)
		case p.Tensor.Rank() == 1:
			nn.Constant(p.Tensor, 1)
		case strings.HasSuffix(p.Name, "c_proj.weight"):
			nn.Normal(p.Tensor, narrow)
		default:
			nn.Normal(p.Tensor, m.Config.InitRange)
		}
	}
}

// Load fills the model from a checkpoint in Hugging Face's keys, below o.Prefix where that is set. What such files hold
// beside the weights is left unread: the causal masks of old versions (attn.bias, attn.masked_bias), and
// lm_head.weight, which must equal the token embedding.
func (m *Model) Load(src weights.Source, o nn.LoadOptions) error {
	ignore := o.Ignore
	o.Ignore = func(name string) bool {
		return name == o.Prefix+"lm_head.weight" || IsMask(name) || ignore != nil && ignore(name)
	}
	if err := CheckTied(src, o.Prefix); err != nil {
		return err
	}
	return nn.Load(m, src, o)
}

// CheckTied refuses an output layer of its own, which would be dropped silently. It reads both tensors, unless they are
// one in the file.
func CheckTied(src weights.Source, prefix string) error {
	head, err := src.Tensor(prefix + "lm_head.weight")
	if err != nil {
		return nil // absent
	}
	table, err := src.Tensor(prefix + "transformer.wte.weight")
	if err != nil {
		return nil // nn.Load reports it
	}
	same := len(head.Data) > 0 && len(head.Data) == len(table.Data) && &head.Data[0] == &table.Data[0]
	if head.DType != table.DType || !same && !bytes.Equal(head.Data, table.Data) {
		return &UntiedError{Head: head.Name, Table: table.Name}
	}
	return nil
}

// Free releases the weights.
func (m *Model) Free() { nn.Free(m) }

// An UntiedError says that a checkpoint has an output layer of its own.
type UntiedError struct{ Head, Table string }

func (e *UntiedError) Error() string {
	const found = "load gpt2: tensor %q differs from %q, want the same values (tied)"
	return fmt.Sprintf(found, e.Head, e.Table)
}

// Hint says what GPT-2 is.
func (e *UntiedError) Hint() string {
	return "GPT-2's output layer is its token table; a model that was trained with tie_word_embeddings=False is another " +
		"one, and would caption wrongly without its own"
}

// masks end the names of the constant masks of attention that old versions of transformers save beside the weights.
var masks = []string{".attn.bias", ".attn.masked_bias", ".crossattention.bias", ".crossattention.masked_bias"}

// IsMask says whether a tensor of a checkpoint is a constant mask of attention, by its name.
func IsMask(name string) bool {
	return slices.ContainsFunc(masks, func(mask string) bool { return strings.HasSuffix(name, mask) })
}
