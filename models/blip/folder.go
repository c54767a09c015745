package blip

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"captioner/data/image"
	"captioner/data/tokenizer"
	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/weights"
)

var _ family.Foldered = Decoder{}

// Folder describes a captioner as Hugging Face's BlipForConditionalGeneration reads it (transformers 4.57.1).
func (d Decoder) Folder(c family.Config, t tokenizer.Codec, names []string) (*family.Folder, error) {
	tower, ok := c.Encoder.Encoder.(Tower)
	if !ok {
		return nil, fmt.Errorf("found the encoder %s, want the vision tower of a BLIP", c.Encoder.Architecture)
	}
	words, ok := t.(*tokenizer.WordPiece)
	if !ok {
		return nil, errors.New("found a tokenizer of another kind, want BERT's WordPiece")
	}
	if p := c.Encoder.Preprocess; p.Fit != image.FitSquash || p.Resize != 0 && p.Resize != p.Size {
		return nil, errors.New("found images whose middle is cut out, want whole ones, as BlipImageProcessor takes them")
	}
	texts, err := words.Folder(int(d.Positions))
	if err != nil {
		return nil, err
	}
	begin, end := c.Ends(t)
	pad, _ := t.ID("[PAD]") // where there is none, 0, which is BlipTextConfig's
	special := map[string]any{"bos_token_id": begin, "sep_token_id": end, "pad_token_id": pad}
	pixels := encoder.ProcessorSettings("BlipImageProcessor", c.Encoder.Preprocess)
	pixels["processor_class"] = "BlipProcessor"
	generation := c.Decoding.Settings()
	text := d.textConfig(slices.Contains(names, family.DecoderPrefix+headWeight))
	for name, v := range generation { // where BLIP's generate looks for them
		text[name] = v
	}
	maps.Copy(text, special)
	maps.Copy(generation, map[string]any{"bos_token_id": begin, "eos_token_id": end, "pad_token_id": pad})
	config := map[string]any{
		"model_type":    "blip",
		"architectures": []string{"BlipForConditionalGeneration"},
		"text_config":   text,
		"vision_config": tower.visionConfig(),
	}
	family.SetOpening(config, c.Decoding.Opening)
	return &family.Folder{
		Settings: map[string]map[string]any{
			"config.json":              config,
			"generation_config.json":   generation,
			"preprocessor_config.json": pixels,
		},
		Texts: texts,
		Key:   huggingFaceKeys(),
	}, nil
}

// textConfig is a BlipTextConfig. It says whether the output layer is of its own.
func (d Decoder) textConfig(own bool) map[string]any {
	return map[string]any{
		"model_type":                   "blip_text_model",
		"vocab_size":                   d.VocabSize,
		"hidden_size":                  d.Width,
		"encoder_hidden_size":          d.Memory,
		"intermediate_size":            d.Inner,
		"num_hidden_layers":            d.Layers,
		"num_attention_heads":          d.Heads,
		"max_position_embeddings":      d.Positions,
		"hidden_act":                   d.Activation,
		"layer_norm_eps":               d.Epsilon,
		"hidden_dropout_prob":          d.Hidden,
		"attention_probs_dropout_prob": d.Attention,
		"label_smoothing":              d.LabelSmoothing,
		"is_decoder":                   true,
		"tie_word_embeddings":          !own,
	}
}

// visionConfig is a BlipVisionConfig.
func (t Tower) visionConfig() map[string]any {
	epsilon := t.NormEpsilon
	if epsilon == 0 {
		epsilon = 1e-6 // vit's
	}
	return map[string]any{
		"model_type":          "blip_vision_model",
		"hidden_size":         t.Width,
		"intermediate_size":   t.MLP,
		"num_hidden_layers":   t.Layers,
		"num_attention_heads": t.Heads,
		"image_size":          t.ImageSize,
		"patch_size":          t.PatchSize,
		"hidden_act":          "gelu",
		"layer_norm_eps":      epsilon,
	}
}

// huggingFaceKeys gives the name of a model file's tensor in a BlipForConditionalGeneration.
func huggingFaceKeys() func(name string) (string, bool) {
	back := make([]string, len(huggingFacePatterns))
	for i := 0; i < len(back); i += 2 {
		back[i], back[i+1] = huggingFacePatterns[i+1], huggingFacePatterns[i]
	}
	tower := weights.Patterns(back...)
	return func(name string) (string, bool) {
		if rest, ok := strings.CutPrefix(name, family.DecoderPrefix); ok {
			return "text_decoder." + rest, true
		}
		rest, ok := strings.CutPrefix(name, encoder.Prefix)
		if !ok {
			return "", false
		}
		key, ok := tower(rest)
		return "vision_model." + key, ok
	}
}
