package checkpoint

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"captioner/data/tokenizer"
	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/weights"
	"captioner/weights/plural"
)

// exportHuggingFace writes a folder that transformers reads: of the family's own class, where it has one; a
// VisionEncoderDecoderModel where the captioner is one; else the decoder as GPT2LMHeadModel with cross-attention. The
// tokenizer is in it. What the library has no class for lies beside: a memory with weights as memory.safetensors, an
// encoder as encoder.safetensors, and captioner.json says how they belong together.
func (e exporter) exportHuggingFace(path string) error {
	path = filepath.Clean(path)
	if err := newFolder(path); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.tmp")
	if err != nil {
		return weights.Reason(err)
	}
	defer os.RemoveAll(tmp) // after the rename there is none
	if err := e.fillFolder(tmp); err != nil {
		return err
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return weights.Reason(err)
	}
	if err := e.ctx.Err(); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) { // an empty folder
		return weights.Reason(err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return weights.Reason(err)
	}
	return nil
}

// newFolder refuses a path that holds something.
func newFolder(path string) error {
	entries, err := os.ReadDir(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return weights.Reason(err)
	case len(entries) > 0:
		return fmt.Errorf("found a folder with %s, want an empty one or none", plural.Count(len(entries), "file"))
	}
	return nil
}

func (e exporter) fillFolder(dir string) error {
	if d, ok := e.Config.Decoder.(family.Foldered); ok {
		return e.fillFamily(dir, d)
	}
	fill := e.fillDecoder
	if e.isEncoderDecoder() {
		fill = e.fillEncoderDecoder
	}
	if err := fill(dir); err != nil {
		return err
	}
	eos := int64(e.Tokenizer.EOS())
	d := e.Config.Decoding
	generation := map[string]any{
		"bos_token_id":           eos,
		"eos_token_id":           eos,
		"pad_token_id":           eos,
		"decoder_start_token_id": eos,
		"max_length":             d.MaxLen + 1, // with the begin token
	}
	const usual = 20 // generate's own, which it takes for so many new tokens
	switch {
	case d.MaxLen == usual && !d.MaxLenOfAll:
		generation["max_length"] = usual
	case d.MaxLen+1 == usual:
		delete(generation, "max_length")
		generation["max_new_tokens"] = d.MaxLen
	}
	if d.Beam > 1 {
		generation["num_beams"] = d.Beam
		generation["length_penalty"] = d.LengthPenalty
		generation["no_repeat_ngram_size"] = d.NoRepeatNGram
	}
	t, err := e.BPE()
	if err != nil {
		return err
	}
	return errors.Join(
		writeJSON(filepath.Join(dir, "generation_config.json"), generation),
		writeTokenizer(dir, t, e.net.Positions),
	)
}

// writeModel writes the tensors that transformers loads.
func (e exporter) writeModel(dir string, tensors []weights.NamedTensor) error {
	path := filepath.Join(dir, "model.safetensors")
	return writeSafetensors(e.ctx, path, tensors, map[string]string{"format": "pt"})
}

// fillDecoder writes a GPT2LMHeadModel.
func (e exporter) fillDecoder(dir string) error {
	decoder, err := e.gpt2Tensors()
	if err != nil {
		return err
	}
	if err := e.writeModel(dir, decoder); err != nil {
		return err
	}
	config := e.gpt2Config()
	config["torch_dtype"] = torchDType(decoder)
	return errors.Join(writeJSON(filepath.Join(dir, "config.json"), config), e.besides(dir))
}

// gpt2Config is the decoder's config.json.
func (e exporter) gpt2Config() map[string]any {
	eos := int64(e.Tokenizer.EOS())
	c := e.net
	config := map[string]any{
		"model_type":          "gpt2",
		"architectures":       []string{"GPT2LMHeadModel"},
		"add_cross_attention": true,
		"is_decoder":          true,
		"vocab_size":          c.VocabSize,
		"n_positions":         c.Positions,
		"n_embd":              c.Width,
		"n_layer":             c.Layers,
		"n_head":              c.Heads,
		"n_inner":             nil,
		"activation_function": c.Activation,
		"layer_norm_epsilon":  c.Epsilon,
		"resid_pdrop":         c.ResidualDrop,
		"embd_pdrop":          c.EmbeddingDrop,
		"attn_pdrop":          c.AttentionDrop,
		"initializer_range":   c.InitRange,
		"bos_token_id":        eos,
		"eos_token_id":        eos,
		"tie_word_embeddings": true,
		"use_cache":           true,
	}
	if c.Inner > 0 {
		config["n_inner"] = c.Inner
	}
	return config
}

// besides writes what transformers has no class for.
func (e exporter) besides(dir string) error {
	for _, part := range []struct {
		prefix string
		src    weights.Source
	}{
		{family.MemoryPrefix, e.src},
		{encoder.Prefix, e.encoderSource()},
	} {
		tensors, err := takeAs(part.src, part.prefix, "")
		if err != nil {
			return err
		}
		if len(tensors) == 0 {
			continue
		}
		if tensors, err = e.o.convert(tensors); err != nil {
			return err
		}
		name := filepath.Join(dir, strings.TrimSuffix(part.prefix, ".")+".safetensors")
		if err := writeSafetensors(e.ctx, name, tensors, map[string]string{"format": "pt"}); err != nil {
			return err
		}
	}
	description := map[string]any{weights.MetaConfig: e.Config, weights.MetaCard: e.card()}
	return writeJSON(filepath.Join(dir, describedFile), description)
}

// card is the captioner's card, with the origin that the options say.
func (e exporter) card() family.Card {
	card := e.Card
	if e.o.Origin != "" {
		card.Origin = e.o.Origin
	}
	return card
}

// torchDType is the one type of all tensors in PyTorch's words; tensors of several types are float32 once they are
// loaded.
func torchDType(tensors []weights.NamedTensor) string {
	names := map[weights.DType]string{weights.F32: "float32", weights.F16: "float16", weights.BF16: "bfloat16"}
	if len(tensors) == 0 ||
		slices.ContainsFunc(tensors, func(t weights.NamedTensor) bool { return t.DType != tensors[0].DType }) ||
		names[tensors[0].DType] == "" {
		return "float32"
	}
	return names[tensors[0].DType]
}

// writeTokenizer writes all three forms of a tokenizer. vocab.json and merges.txt have no place for the lowering of
// letters: then only the fast tokenizer's class is named, which reads tokenizer.json.
func writeTokenizer(dir string, t *tokenizer.Tokenizer, positions int64) error {
	text, err := t.JSON()
	if err != nil {
		return err
	}
	vocab, merges, err := t.Files()
	if err != nil {
		return err
	}
	class := "GPT2Tokenizer"
	if t.Options().Lowercase {
		class = "PreTrainedTokenizerFast"
	}
	special := map[string]any{
		"bos_token": tokenizer.EndOfText,
		"eos_token": tokenizer.EndOfText,
		"unk_token": tokenizer.EndOfText,
		"pad_token": tokenizer.EndOfText,
	}
	config := map[string]any{
		"tokenizer_class":              class,
		"model_max_length":             positions,
		"add_prefix_space":             t.Options().PrefixSpace,
		"clean_up_tokenization_spaces": false,
	}
	for k, v := range special {
		config[k] = v
	}
	return errors.Join(
		writeBytes(filepath.Join(dir, "tokenizer.json"), text),
		writeBytes(filepath.Join(dir, "vocab.json"), vocab),
		writeBytes(filepath.Join(dir, "merges.txt"), merges),
		writeJSON(filepath.Join(dir, "tokenizer_config.json"), config),
		writeJSON(filepath.Join(dir, "special_tokens_map.json"), special),
	)
}
