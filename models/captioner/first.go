package captioner

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"captioner/data/tokenizer"
	"captioner/models/decode"
	"captioner/models/encoder"
	"captioner/models/gpt2"
	"captioner/models/transformer"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
	"captioner/weights/pickle"
)

// ErrFirst says that something cannot be done with a model of clip-text-decoder 1.0.0.
var ErrFirst = errors.New("found a model of clip-text-decoder 1.0.0, whose decoder is not GPT-2 and can only caption, want one of 1.1.0 to 1.4.4")

// openFirst makes a captioner of a file of clip-text-decoder 1.0.0: the archive that its ClipDecoderInferenceModel.save writes, or a checkpoint of
// its ClipDecoder with a tokenizer.pkl, as its Tokenizer.save writes one, beside it. named shows the decoder in src. f owns src.
func openFirst(path string, named, src weights.Source) (*File, error) {
	c, err := transformer.ConfigOf(named)
	if err != nil {
		return nil, err
	}
	var record any
	if p, ok := src.(*pickle.File); ok {
		root, _ := p.Root.(*pickle.Dict)
		if root != nil {
			record, _ = root.Get("tokenizer")
			module, _ := root.Get("model")
			if heads, ok := follow[int64](module, "transformer", "layers", "0", "self_attn", "num_heads"); ok {
				c.Heads = heads
			}
		}
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	f := &File{Path: path, Config: Config{Name: strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)), Transformer: &c, Decoder: firstSizes(c),
		Decoding: Decoding{Rule: decode.Python, Beam: 1, MaxLen: int(min(32, c.Positions))}}}
	f.Card = Card{Name: f.Config.Name, Data: "not told by the checkpoint", Licence: "not told by the checkpoint", Encoder: "ViT-B/32"}
	if err := f.wantEye("ViT-B/32", encoder.PooledPadded); err != nil {
		return nil, err
	}
	if f.src, err = weights.Rename(named, weights.Prefix("", decoderPrefix)); err != nil {
		return nil, err
	}
	if f.Tokenizer, err = firstWords(path, record); err == nil && int64(f.Tokenizer.VocabSize()) != c.VocabSize {
		err = fmt.Errorf("tokenizer: found %d words, want the decoder's %d", f.Tokenizer.VocabSize(), c.VocabSize)
	}
	return f, err
}

// firstSizes are those that a decoder of 1.0.0 has in common with GPT-2, for whoever asks for them.
func firstSizes(c transformer.Config) gpt2.Config {
	return gpt2.Config{Layers: int(c.Layers), Width: c.Width, Heads: c.Heads, Inner: c.Inner, VocabSize: c.VocabSize, Positions: c.Positions,
		Epsilon: 1e-5, Activation: "gelu_new", CrossAttention: true}
}

// validateFirst reports what does not fit the decoder of 1.0.0, where the captioner has it: a memory of one vector, as wide as that.
func (c Config) validateFirst() error {
	t := c.Transformer
	if t == nil {
		return nil
	}
	if err := t.Validate(); err != nil {
		return err
	}
	switch m := c.Memory; {
	case m.Kind != encoder.PooledPadded:
		return fmt.Errorf("memory: found kind %q, want %q for the decoder of clip-text-decoder 1.0.0", m.Kind, encoder.PooledPadded)
	case m.In < t.Width: // more than that is reported for every decoder
		return fmt.Errorf("the decoder does not fit its encoder: %s gives a picture %d numbers, want the decoder's width %d", c.Encoder.Architecture, m.In, t.Width)
	}
	return nil
}

// follow goes along attributes of records.
func follow[T any](v any, names ...string) (t T, ok bool) {
	for _, name := range names {
		r, isRecord := v.(*pickle.Record)
		if !isRecord {
			return t, false
		}
		v, _ = r.Attr(name)
	}
	t, ok = v.(T)
	return t, ok
}

// firstWords makes the tokenizer of what a pickle says about clip_text_decoder.tokenizer.Tokenizer, or of the one beside the checkpoint.
func firstWords(path string, record any) (*tokenizer.Tokenizer, error) {
	if record == nil {
		beside := filepath.Join(filepath.Dir(path), "tokenizer.pkl")
		if _, err := os.Stat(beside); err != nil {
			return nil, errors.New("tokenizer: found none in the checkpoint of clip-text-decoder 1.0.0, want its tokenizer.pkl beside it")
		}
		p, err := pickle.Open(beside)
		if err != nil {
			return nil, fmt.Errorf("tokenizer: %w", err)
		}
		defer p.Close()
		record = p.Root
	}
	ids, _ := follow[*pickle.Dict](record, "_stoi")
	if ids == nil {
		return nil, errors.New("tokenizer: found no words, want a pickled Tokenizer of clip-text-decoder 1.0.0")
	}
	tokens := make([]string, ids.Len())
	seen := make([]bool, ids.Len())
	for k, v := range ids.All() {
		word, ok := k.(string)
		id, ok2 := v.(int64)
		if !ok || !ok2 || id < 0 || id >= int64(len(tokens)) || seen[id] {
			return nil, fmt.Errorf("tokenizer: found an entry that is no word with an id of its own below %d", len(tokens))
		}
		tokens[id], seen[id] = strings.Clone(word), true
	}
	return tokenizer.NewWords(tokens)
}

// loadFirst prepares the decoder of 1.0.0, and the memory, which has nothing to learn.
func (f *File) loadFirst(dev torch.Device) (*Model, *transformer.Decoder, error) {
	named, err := weights.Rename(f.src, weights.Prefix(decoderPrefix, ""))
	if err != nil {
		return nil, nil, err
	}
	told := *f.Config.Transformer
	seen, err := transformer.ConfigOf(named)
	if seen.Heads = told.Heads; err == nil && seen != told { // before memory is taken for what is told
		err = fmt.Errorf("found sizes %+v, want those of the weights, %+v", told, seen)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("load model %q: %w", f.Path, err)
	}
	t, err := transformer.New(told)
	if err != nil {
		return nil, nil, err
	}
	defer t.Free()
	if err := nn.Load(t, f.src, nn.LoadOptions{Device: dev, Prefix: decoderPrefix, Ignore: isEncoder}); err != nil {
		return nil, nil, fmt.Errorf("load model %q: %w", f.Path, err)
	}
	return &Model{Memory: newMemory(f.Config.Memory, f.Config.Decoder.Width)}, t.Decoder(), nil
}
