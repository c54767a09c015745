package checkpoint

import (
	"cmp"
	"errors"
	"path/filepath"
	"slices"

	"captioner/data/image"
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
	return errors.Join(
		e.writeModel(dir, tensors),
		writeJSON(filepath.Join(dir, "config.json"), config),
		writeJSON(filepath.Join(dir, "preprocessor_config.json"), processor(e.Config.Encoder.Preprocess)),
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

// processor is the settings of a CLIPImageProcessor that does what Preprocess does.
func processor(p image.Preprocess) map[string]any {
	square := map[string]int{"height": p.Size, "width": p.Size}
	c := map[string]any{
		"image_processor_type": "CLIPImageProcessor",
		"do_convert_rgb":       true,
		"do_resize":            true,
		"size":                 square,
		"resample":             3,
		"do_center_crop":       false,
		"do_rescale":           true,
		"rescale_factor":       1. / 255,
		"do_normalize":         true,
		"image_mean":           over255(p.Mean),
		"image_std":            over255(p.Std),
	}
	if p.Filter == image.FilterLinear {
		c["resample"] = 2
	}
	before := cmp.Or(p.Resize, p.Size) // the middle is cut out
	switch {
	case p.Fit == image.FitCrop:
		c["size"], c["do_center_crop"], c["crop_size"] = map[string]int{"shortest_edge": before}, true, square
	case before != p.Size:
		c["size"], c["do_center_crop"], c["crop_size"] = map[string]int{"height": before, "width": before}, true, square
	}
	return c
}

func over255(v [3]float64) []float64 { return []float64{v[0] / 255, v[1] / 255, v[2] / 255} }
