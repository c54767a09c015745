package checkpoint

import (
	"errors"
	"path/filepath"
	"strings"

	"captioner/data/image"
	"captioner/models/clip"
	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/weights"
)

// isEncoderDecoder says whether transformers has a class for the whole captioner: a VisionEncoderDecoderModel, whose encoder is a CLIPVisionModel
// and whose decoder looks at that one's last_hidden_state, projected where the widths differ.
func (e exporter) isEncoderDecoder() bool {
	c, ok := e.Config.Encoder.Encoder.(clip.Config)
	m := e.Config.Memory
	return ok && m.Kind == encoder.Tokens && c.TakesRaw(m) && e.HasEncoder()
}

// fillEncoderDecoder writes a VisionEncoderDecoderModel.
func (e exporter) fillEncoderDecoder(dir string) error {
	own := e.encoderSource()
	var tensors []weights.NamedTensor
	for _, part := range []struct {
		src        weights.Source
		prefix, to string
	}{{own, encoder.Prefix, ""}, {e.src, "memory.project.", "enc_to_dec_proj."}, {e.src, family.DecoderPrefix, family.DecoderPrefix}} {
		some, err := take(part.src, part.prefix)
		if err != nil {
			return err
		}
		for i := range some {
			some[i].Name = part.to + strings.TrimPrefix(some[i].Name, part.prefix)
		}
		if part.to == "" {
			if some, err = clip.HuggingFace(some); err != nil {
				return err
			}
			for i := range some {
				some[i].Name = "encoder." + some[i].Name
			}
		}
		tensors = append(tensors, some...)
	}
	tensors, err := e.o.convert(tensors)
	if err != nil {
		return err
	}
	eye, eos := e.Config.Encoder.Encoder.(clip.Config), int64(e.Tokenizer.EOS())
	activation := "gelu"
	if eye.QuickGELU {
		activation = "quick_gelu"
	}
	vision := map[string]any{
		"model_type": "clip_vision_model", "architectures": []string{"CLIPVisionModel"}, "hidden_size": eye.Vision.Width, "intermediate_size": eye.Vision.MLP,
		"num_hidden_layers": eye.Vision.Layers, "num_attention_heads": eye.Vision.Heads, "image_size": eye.Vision.ImageSize, "patch_size": eye.Vision.PatchSize,
		"hidden_act": activation, "layer_norm_eps": 1e-5, "num_channels": 3,
	}
	config := map[string]any{
		"model_type": "vision-encoder-decoder", "architectures": []string{"VisionEncoderDecoderModel"}, "is_encoder_decoder": true, "encoder": vision,
		"decoder": e.gpt2Config(), "decoder_start_token_id": eos, "eos_token_id": eos, "pad_token_id": eos, "tie_word_embeddings": false, "torch_dtype": torchDType(tensors),
	}
	return errors.Join(
		writeSafetensors(e.ctx, filepath.Join(dir, "model.safetensors"), tensors, map[string]string{"format": "pt"}),
		writeJSON(filepath.Join(dir, "config.json"), config),
		writeJSON(filepath.Join(dir, "preprocessor_config.json"), processor(e.Config.Encoder.Preprocess)),
	)
}

// processor are the settings of a CLIPImageProcessor that does what Preprocess does.
func processor(p image.Preprocess) map[string]any {
	square := map[string]int{"height": p.Size, "width": p.Size}
	c := map[string]any{
		"image_processor_type": "CLIPImageProcessor", "do_convert_rgb": true, "do_resize": true, "size": square, "resample": 3, "do_center_crop": false,
		"do_rescale": true, "rescale_factor": 1. / 255, "do_normalize": true, "image_mean": over255(p.Mean), "image_std": over255(p.Std),
	}
	if p.Fit == image.FitCrop {
		c["size"], c["do_center_crop"], c["crop_size"] = map[string]int{"shortest_edge": p.Size}, true, square
	}
	return c
}

func over255(v [3]float64) []float64 { return []float64{v[0] / 255, v[1] / 255, v[2] / 255} }
