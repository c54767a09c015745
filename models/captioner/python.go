package captioner

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"captioner/data/tokenizer"
	"captioner/models/decode"
	"captioner/models/encoder"
	"captioner/models/gpt2"
	"captioner/models/transformer"
	"captioner/weights"
	"captioner/weights/pickle"
)

// original is what a file of the Python package clip-text-decoder, or a checkpoint of a model of its kind, says beside its tensors. A field
// is zero where it does not say.
type original struct {
	eye    string // as the package names it: "clip:ViT-B/32", "blip:base"
	config *gpt2.Config
	tok    any // the tokenizer's record
}

// openOriginal makes a captioner of a checkpoint that holds GPT-2 with cross-attention, as clip-text-decoder 1.1 to 1.4.4 saves and trains it:
// pickled inference models, Lightning's checkpoints, and state dicts; or the transformer of 1.0.0 (see openFirst). f owns src.
func openOriginal(path string, src weights.Source) (*File, error) {
	var o original
	if p, ok := src.(*pickle.File); ok {
		var err error
		if o, err = readOriginal(p); err != nil {
			return nil, err
		}
	}
	if first, err := transformer.Keys(src); err == nil {
		return openFirst(path, first, src)
	}
	f, err := o.file(path, src)
	if err != nil {
		return nil, err
	}
	if size := f.Config.Decoder.VocabSize; o.tok == nil && size != gpt2Words {
		f.Tokenizer, err = wordsBeside(path, size)
	} else {
		f.Tokenizer, err = words(o.tok, size)
	}
	return f, err
}

// wordsBeside reads the tokenizer of a checkpoint without words of its own from the files of Hugging Face in its folder.
func wordsBeside(path string, vocabulary int64) (*tokenizer.Tokenizer, error) {
	dir := filepath.Dir(path)
	t, err := readWords(dir)
	switch {
	case err != nil:
		return nil, fmt.Errorf("tokenizer: read the files beside the checkpoint: %w", err)
	case t == nil:
		return nil, fmt.Errorf("tokenizer: found none in the file, and a vocabulary of %d tokens, want GPT-2's %d, or tokenizer.json, or vocab.json and merges.txt, beside the file",
			vocabulary, gpt2Words)
	case int64(t.VocabSize()) != vocabulary:
		return nil, fmt.Errorf("tokenizer: found %d tokens in the files beside the checkpoint, want the decoder's %d", t.VocabSize(), vocabulary)
	}
	return t, nil
}

// settingsBeside are those of a config.json in the folder of a checkpoint that does not tell its own (the number of heads cannot be seen in the
// weights); c, which was read off the weights, where there is none of the same sizes.
func settingsBeside(path string, c gpt2.Config) gpt2.Config {
	b, err := readWhole(filepath.Join(filepath.Dir(path), "config.json"))
	if err != nil {
		return c
	}
	told, err := gpt2.ParseConfig(b)
	if err != nil || told.Layers != c.Layers || told.Width != c.Width || told.VocabSize != c.VocabSize || told.Positions != c.Positions {
		return c
	}
	told.CrossAttention = c.CrossAttention
	return told
}

// file describes everything but the words.
func (o original) file(path string, src weights.Source) (*File, error) {
	named, err := gpt2.Keys(src)
	if err != nil {
		return nil, notDecoder(path, src)
	}
	if o.config == nil {
		c, err := gpt2.ConfigOf(named)
		if err != nil {
			return nil, err
		}
		c = settingsBeside(path, c)
		o.config = &c
	}
	if !o.config.CrossAttention {
		return nil, errors.New("found GPT-2 without cross-attention, which cannot see, want a captioner")
	}
	if err := gpt2.CheckTied(named, ""); err != nil {
		return nil, err
	}
	f := &File{Path: path, Config: Config{Name: strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)), Decoder: *o.config,
		Decoding: Decoding{Rule: decode.Python, Beam: 1, MaxLen: min(64, int(o.config.Positions))}}}
	f.Card = Card{Name: f.Config.Name, Data: "not told by the checkpoint", Licence: "not told by the checkpoint", Encoder: o.eye}
	if err := f.wantEye(o.eye, encoder.PooledPadded); err != nil {
		return nil, err
	}
	f.src, err = decoderTensors(named)
	return f, err
}

// decoderTensors shows the tensors of GPT2LMHeadModel as a model file has them, without what such files hold beside the weights.
func decoderTensors(src weights.Source) (weights.Source, error) {
	return weights.Rename(src, func(n string) (string, bool) {
		for _, beside := range []string{".attn.bias", ".attn.masked_bias", ".crossattention.bias", ".crossattention.masked_bias"} {
			if strings.HasSuffix(n, beside) {
				return "", false
			}
		}
		return decoderPrefix + n, strings.HasPrefix(n, "transformer.")
	})
}

// wantEye notes the encoder that the decoder was trained with: its name is known, its weights come from elsewhere. Of a name that cannot be true,
// as the package writes one for whoever trained on embeddings of his own, the contradiction is kept for those who bring no encoder.
func (f *File) wantEye(name, kind string) error {
	eye, err := encoders.Published(name)
	if err != nil {
		return err
	}
	if eye.Architecture != "" {
		f.Config.Encoder = eye
		if f.Config.Memory, err = encoder.NewMemory(eye, kind, 0); err != nil {
			return err
		}
		if f.misfit = f.Config.validateModel(); f.misfit == nil {
			return nil
		}
	}
	f.Config.Encoder, f.Config.Memory = encoder.Config{}, encoder.Memory{Kind: kind, In: f.Config.Decoder.Width} // any that fits will do: UseEncoder settles it
	if f.misfit != nil {
		return f.Config.validateModel()
	}
	return nil
}

func hasPrefix(src weights.Source, prefixes ...string) bool {
	for _, n := range src.Names() {
		for _, p := range prefixes {
			if strings.HasPrefix(n, p) {
				return true
			}
		}
	}
	return false
}

// notDecoder says what a file without GPT-2 is.
func notDecoder(path string, src weights.Source) error {
	if p, err := recognise(path, src); err == nil {
		return fmt.Errorf("found the encoder %s alone, want a captioner's model", p.Config.Architecture)
	}
	if _, ok := src.(*pickle.File); ok {
		return fmt.Errorf("found %d tensors without GPT-2 among them (no wte.weight), want a captioner's model", len(src.Names()))
	}
	return ErrNotCaptioner
}

// readOriginal looks into the objects of a pickle.
func readOriginal(p *pickle.File) (original, error) {
	var o original
	switch root := p.Root.(type) {
	case *pickle.Record:
		module := root
		if inner, ok := attribute[*pickle.Record](root, "model"); ok { // …InferenceModel
			module = inner
			o.tok, _ = root.Attr("tokenizer")
		}
		if strings.HasSuffix(module.Name, "ClipDecoder") {
			o.eye = "ViT-B/32"
		}
		if name, ok := attribute[string](module, "vision_backbone"); ok {
			o.eye = name
		}
		var err error
		o.config, err = decoderConfig(module)
		return o, err
	case *pickle.Dict:
		params, _ := root.Get("hyper_parameters")
		if r, ok := params.(*pickle.Record); ok && r.Entries != nil { // Lightning's AttributeDict
			params = r.Entries
		}
		if d, ok := params.(*pickle.Dict); ok {
			name, _ := d.Get("vision_backbone")
			o.eye, _ = name.(string)
		}
	}
	if o.eye == "" && hasPrefix(p, "gpt.", "model.gpt.", "state_dict.gpt.") {
		o.eye = "ViT-B/32" // all that ClipDecoder of 1.1 to 1.3 works with
	}
	return o, nil
}

func attribute[T any](r *pickle.Record, name string) (T, bool) {
	v, _ := r.Attr(name)
	t, ok := v.(T)
	return t, ok
}

// decoderConfig reads the settings that a pickled GPT2LMHeadModel inside module carries, nil where there are none.
func decoderConfig(module *pickle.Record) (*gpt2.Config, error) {
	inside, _ := attribute[*pickle.Dict](module, "_modules")
	if inside == nil {
		return nil, nil
	}
	for _, v := range inside.All() {
		r, ok := v.(*pickle.Record)
		if !ok || r.Name != "GPT2LMHeadModel" {
			continue
		}
		config, ok := attribute[*pickle.Record](r, "config")
		if !ok {
			return nil, nil
		}
		settings, _ := config.State.(*pickle.Dict)
		if settings == nil {
			return nil, nil
		}
		plain := map[string]any{}
		for k, v := range settings.All() {
			switch v.(type) {
			case nil, bool, int64, float64, string:
				if k, ok := k.(string); ok {
					plain[k] = v
				}
			}
		}
		b, err := json.Marshal(plain)
		if err != nil {
			return nil, fmt.Errorf("read the decoder's config: %w", err)
		}
		c, err := gpt2.ParseConfig(b)
		return &c, err
	}
	return nil, nil
}
