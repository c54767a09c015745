package clipdecoder10

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"captioner/data/tokenizer"
	"captioner/models/clip"
	"captioner/models/decode"
	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/models/gpt2"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
	"captioner/weights/pickle"
	"captioner/weights/plural"
)

// Family is the family as a row of the table of captioners.
func Family() family.Family {
	return family.Family{
		Name: "clip-text-decoder 1.0.0", Key: "transformer", Parse: family.Parse[Config],
		Classes:   []encoder.Class{}, // its files describe nothing
		Recognize: func(f family.Files) bool { _, err := Keys(f.Source); return !f.Folder && err == nil },
		Open:      open,
	}
}

var _ family.Decoder = Config{}

// Key is "transformer".
func (c Config) Key() string { return "transformer" }

// Sizes are the words of the vocabulary, the most words of a text, and the channels of a word.
func (c Config) Sizes() (vocabulary, positions, width int64) {
	return c.VocabSize, c.Positions, c.Width
}

// HeadCount is the number of heads, and the channels that they share.
func (c Config) HeadCount() (heads, width int64) { return c.Heads, c.Width }

// Common is the sizes that the decoder has in common with GPT-2.
func (c Config) Common() any {
	return gpt2.Config{
		Layers: int(
			c.Layers,
		), Width: c.Width, Heads: c.Heads, Inner: c.Inner, VocabSize: c.VocabSize, Positions: c.Positions,
		Epsilon: 1e-5, Activation: "gelu_new", CrossAttention: true,
	}
}

// Validate reports everything that does not fit: the memory must be one vector, as wide as the decoder.
func (c Config) Validate(m encoder.Memory, architecture string) error {
	if err := c.check(); err != nil {
		return err
	}
	switch {
	case m.Kind != encoder.PooledPadded:
		const want = "want %q for the decoder of clip-text-decoder 1.0.0"
		return fmt.Errorf("memory: found kind %q, "+want, m.Kind, encoder.PooledPadded)
	case m.In < c.Width:
		return family.Mismatch("%s gives an image %d numbers, want the decoder's width %d",
			architecture, m.In, c.Width)
	}
	return family.Padded(m, architecture, c.Width)
}

// Load reads the decoder for inference. It is float32, whatever the type.
func (c Config) Load(src weights.Source, _ encoder.Memory, o nn.LoadOptions, _ torch.DType) (family.Writer, error) {
	named, err := weights.Rename(src, weights.Prefix(family.DecoderPrefix, ""))
	if err != nil {
		return nil, err
	}
	found, err := ConfigOf(named)
	if found.Heads = c.Heads; err == nil && found != c { // before memory is taken for what is described
		err = fmt.Errorf("found sizes %+v, want those of the weights, %+v", c, found)
	}
	if err != nil {
		return nil, err
	}
	m, err := New(c)
	if err != nil {
		return nil, err
	}
	defer m.Free()
	o.Prefix = family.DecoderPrefix
	if err := nn.Load(m, src, o); err != nil {
		return nil, err
	}
	return writer{m.Decoder()}, nil
}

// writer is the decoder, loaded for inference.
type writer struct{ *Decoder }

// Start begins texts about images, from their embeddings [B, 1, C].
func (w writer) Start(features *torch.Tensor, t family.Texts) (family.Session, error) {
	return w.Decoder.Start(features, t.Images, t.Rows, t.Length)
}

// open describes the archive that ClipDecoderInferenceModel.save writes, or a checkpoint of ClipDecoder with a
// tokenizer.pkl beside it, as Tokenizer.save writes one.
func open(f family.Files) (*family.Captioner, error) {
	named, err := Keys(f.Source)
	if err != nil {
		return nil, err
	}
	c, err := ConfigOf(named)
	if err != nil {
		return nil, err
	}
	var record any // of the tokenizer
	var said int64 // heads
	if p, ok := f.Source.(*pickle.File); ok {
		if root, _ := p.Root.(*pickle.Dict); root != nil {
			record, _ = root.Get("tokenizer")
			module, _ := root.Get("model")
			if heads, ok := pickle.Follow[int64](module, "transformer", "layers", "0", "self_attn", "num_heads"); ok {
				said = heads
			}
		}
	}
	if c.Heads, err = f.DecoderHeads(c.Width, said, c.Heads); err != nil {
		return nil, err
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	name := strings.TrimSuffix(filepath.Base(f.Path), filepath.Ext(f.Path))
	out := &family.Captioner{
		Config: family.Config{Name: name, Decoder: c,
			Decoding: family.Decoding{Rule: decode.ClipDecoder, Beam: 1, MaxLen: int(min(32, c.Positions))}},
		Card: family.UnknownCard(name, "ViT-B/32"),
	}
	if err := out.ExpectEncoder(clip.Describe(clip.ViTB32()), encoder.PooledPadded); err != nil {
		return nil, err
	}
	if out.Source, err = weights.Rename(named, weights.Prefix("", family.DecoderPrefix)); err != nil {
		return nil, err
	}
	words, err := readTokenizer(f.Path, record)
	if err == nil && int64(words.VocabSize()) != c.VocabSize {
		err = fmt.Errorf("tokenizer: found %s, want the decoder's %d", plural.Count(words.VocabSize(), "word"), c.VocabSize)
	}
	out.Tokenizer = words
	return out, err
}

// A TokenizerMissingError says that a checkpoint has no tokenizer beside it.
type TokenizerMissingError struct{}

func (*TokenizerMissingError) Error() string {
	return "tokenizer: found none in the checkpoint of clip-text-decoder 1.0.0, want its tokenizer.pkl beside it"
}

// Hint says where it comes from.
func (*TokenizerMissingError) Hint() string {
	return "Tokenizer.save of clip-text-decoder 1.0.0 writes it: copy it from where the checkpoint was trained"
}

// readTokenizer makes the tokenizer of what a pickle says about clip_text_decoder.tokenizer.Tokenizer, or of the one
// beside the checkpoint.
func readTokenizer(path string, record any) (*tokenizer.Tokenizer, error) {
	if record == nil {
		beside := filepath.Join(filepath.Dir(path), "tokenizer.pkl")
		if _, err := os.Stat(beside); err != nil {
			return nil, &TokenizerMissingError{}
		}
		p, err := pickle.Open(beside)
		if err != nil {
			return nil, fmt.Errorf("tokenizer: %w", err)
		}
		defer p.Close()
		record = p.Root
	}
	ids, _ := pickle.Follow[*pickle.Dict](record, "_stoi")
	if ids == nil {
		return nil, errors.New("tokenizer: found no words, want a pickled Tokenizer of clip-text-decoder 1.0.0")
	}
	tokens := make([]string, ids.Len())
	taken := make([]bool, ids.Len())
	for k, v := range ids.All() {
		word, ok := k.(string)
		id, ok2 := v.(int64)
		if !ok || !ok2 || id < 0 || id >= int64(len(tokens)) || taken[id] {
			return nil, fmt.Errorf(
				"tokenizer: found an entry that is no word with an id of its own below %d",
				len(tokens),
			)
		}
		tokens[id], taken[id] = strings.Clone(word), true
	}
	return tokenizer.NewWords(tokens)
}
