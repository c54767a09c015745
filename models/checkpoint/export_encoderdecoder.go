package checkpoint

import (
	"errors"
	"path/filepath"
	"slices"

	"captioner/models/clip"
	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/weights"
)

// isEncoderDecoder says whether transformers has a class for the whole captioner: a VisionEncoderDecoderModel, whose
// encoder is a CLIPVisionModel and whose decoder looks at that one's last_hidden_state, projected where the widths
// differ.
func (e exporter) isEncoderDecoder() bool {
	c, ok := e.Config.Encoder.Encoder.(clip.Config)
	m := e.Config.Memory
	return ok && m.Kind == encoder.Tokens && c.TakesRaw(m) && e.HasEncoder()
}

// fillEncoderDecoder writes a VisionEncoderDecoderModel.
func (e exporter) fillEncoderDecoder(dir string) error {
	vision := e.Config.Encoder.Encoder.(clip.Config)
	tensors, err := e.encoderDecoderTensors()
	if err != nil {
		return err
	}
	eos := int64(e.Tokenizer.EOS())
	config := map[string]any{
		"model_type":             "vision-encoder-decoder",
		"architectures":          []string{"VisionEncoderDecoderModel"},
		"is_encoder_decoder":     true,
		"encoder":                visionConfig(vision),
		"decoder":                e.gpt2Config(),
		"decoder_start_token_id": eos,
		"eos_token_id":           eos,
		"pad_token_id":           eos,
		"tie_word_embeddings":    false,
		"torch_dtype":            torchDType(tensors),
	}
	family.SetOpening(config, e.Config.Decoding.Opening)
	pixels := encoder.ProcessorSettings("CLIPImageProcessor", e.Config.Encoder.Preprocess)
	return errors.Join(
		e.writeModel(dir, tensors),
		writeJSON(filepath.Join(dir, "config.json"), config),
		writeJSON(filepath.Join(dir, "preprocessor_config.json"), pixels),
	)
}

// encoderDecoderTensors are the tensors of a VisionEncoderDecoderModel, by its keys.
func (e exporter) encoderDecoderTensors() ([]weights.NamedTensor, error) {
	vision, err := takeAs(e.encoderSource(), encoder.Prefix, "")
	if err != nil {
		return nil, err
	}
	if vision, err = clip.HuggingFace(vision); err != nil {
		return nil, err
	}
	for i := range vision {
		vision[i].Name = "encoder." + vision[i].Name
	}
	project, err := takeAs(e.src, family.MemoryPrefix+"project.", "enc_to_dec_proj.")
	if err != nil {
		return nil, err
	}
	decoder, err := take(e.src, family.DecoderPrefix)
	if err != nil {
		return nil, err
	}
	return e.o.convert(slices.Concat(vision, project, decoder))
}

// visionConfig is the config.json of a CLIPVisionModel.
func visionConfig(c clip.Config) map[string]any {
	activation := "gelu"
	if c.QuickGELU {
		activation = "quick_gelu"
	}
	return map[string]any{
		"model_type":          "clip_vision_model",
		"architectures":       []string{"CLIPVisionModel"},
		"hidden_size":         c.Vision.Width,
		"intermediate_size":   c.Vision.MLP,
		"num_hidden_layers":   c.Vision.Layers,
		"num_attention_heads": c.Vision.Heads,
		"image_size":          c.Vision.ImageSize,
		"patch_size":          c.Vision.PatchSize,
		"hidden_act":          activation,
		"layer_norm_eps":      1e-5,
		"num_channels":        3,
	}
}
