package blip

import (
	"encoding/json"
	"fmt"
	"strings"

	"captioner/models/batch"
	"captioner/models/bert"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
)

// TextDecoder is BLIP's caption decoder (Li et al. 2022, §3.1): BERT's layers with causal self-attention and
// cross-attention to all tokens of the vision tower, and BERT's output layer. Keys are those of LAVIS and of Hugging
// Face's BlipTextLMHeadModel.
type TextDecoder struct {
	Config bert.Config
	BERT   *bert.Model `key:"bert"`
	Head   Head        `key:"cls.predictions"`
}

// Head maps hidden states to logits.
type Head struct {
	Dense nn.Linear     `key:"transform.dense"` // [C, C], then GELU
	Norm  nn.LayerNorm  `key:"transform.LayerNorm"`
	Words *torch.Tensor `key:"decoder.weight"` // [V, C]; nil: the token embedding
	Bias  *torch.Tensor `key:"bias"`           // [V]
}

// BaseText is the text decoder of the published captioners; of the large one Memory is 1024.
func BaseText() bert.Config {
	return bert.Config{VocabSize: 30524, Width: 768, Layers: 12, Heads: 12, Inner: 3072, Positions: 512,
		Activation: "gelu", Epsilon: 1e-12, Memory: 768}
}

// ParseTextConfig reads the "text_config" of a config.json. What it leaves out has the values of Hugging Face's
// BlipTextConfig; settings that would change the network and that this package does not have are refused.
func ParseTextConfig(b []byte) (Decoder, error) {
	c := Decoder{Config: BaseText()}
	c.Heads = 8 // BlipTextConfig's
	other := struct {
		Positions string `json:"position_embedding_type"`
		Decoder   *bool  `json:"is_decoder"`
	}{Positions: "absolute"}
	for _, to := range []any{&c, &other} {
		if err := json.Unmarshal(b, to); err != nil {
			return c, fmt.Errorf("blip text config: %w", err)
		}
	}
	if other.Positions != "absolute" {
		return c, fmt.Errorf("blip text config: found position_embedding_type %q, want absolute", other.Positions)
	}
	if c.Memory == 0 {
		return c, fmt.Errorf("blip text config: found encoder_hidden_size 0, want the width of the vision tower")
	}
	return c, c.Config.Validate()
}

// NewTextDecoder makes a decoder with unset weights; Load fills them. Run it inside torch.Do; Free releases it.
func NewTextDecoder(c bert.Config) (*TextDecoder, error) {
	m, err := bert.New(c)
	if err != nil {
		return nil, err
	}
	param := func(shape ...int64) *torch.Tensor { return torch.Empty(torch.Float32, torch.CPU, shape...).Keep() }
	return &TextDecoder{Config: c, BERT: m, Head: Head{
		Dense: nn.NewLinear(c.Width, c.Width, true), Norm: nn.NewLayerNorm(c.Width, c.Epsilon),
		Words: param(c.VocabSize, c.Width), Bias: param(c.VocabSize)}}, nil
}

// textMark is the tensor that tells a text decoder.
const textMark = "text_decoder.bert.embeddings.word_embeddings.weight"

// TextKeys shows the text decoder of a whole checkpoint, below "text_decoder." and any prefix before it, without that
// prefix. It leaves out what such files hold twice. The view owns src.
func TextKeys(src weights.Source) (weights.Source, error) {
	for _, name := range src.Names() {
		prefix, ok := strings.CutSuffix(name, textMark)
		if !ok {
			continue
		}
		return weights.Rename(src, func(name string) (string, bool) {
			rest, ok := strings.CutPrefix(name, prefix+"text_decoder.")
			twice := rest == "cls.predictions.decoder.bias" || rest == "bert.embeddings.position_ids"
			return rest, ok && !twice
		})
	}
	const message = "read blip's text decoder: found %d tensors, none of them %q, want one of LAVIS or Hugging Face"
	return nil, fmt.Errorf(message, len(src.Names()), textMark)
}

// Load fills the decoder from a checkpoint in the keys of TextKeys, below o.Prefix where that is set. Where the
// output layer has no weight of its own, it is the token embedding.
func (m *TextDecoder) Load(src weights.Source, o nn.LoadOptions) error {
	if _, err := src.Tensor(o.Prefix + "cls.predictions.decoder.weight"); err != nil {
		m.Head.Words.Free()
		m.Head.Words = nil
	}
	return nn.Load(m, src, o)
}

// Logits gives the logits of the next token behind each of tokens [B, T] (int64): [B, T, V]. memory [B, P, Memory] is
// all tokens of the vision tower.
func (m *TextDecoder) Logits(tokens, memory *torch.Tensor) *torch.Tensor {
	mask := batch.Causal(tokens.Dim(1), tokens.Device())
	h := m.head()
	return h.Forward(m.BERT.Forward(m.BERT.Embed(tokens), memory, mask))
}

// Decoder prepares the decoder for generation in type d; see bert.Model.Decoder.
func (m *TextDecoder) Decoder(d torch.DType) *bert.Decoder { return m.BERT.Decoder(m.head(), d) }

func (m *TextDecoder) head() bert.Head {
	words := m.Head.Words
	if words == nil {
		words = m.BERT.Embeddings.Words.Weight
	}
	return bert.Head{Dense: &m.Head.Dense, Norm: &m.Head.Norm, Words: words, Bias: m.Head.Bias}
}

// Free releases the weights.
func (m *TextDecoder) Free() { nn.Free(m) }
