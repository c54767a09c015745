package captioner

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"captioner/data/image"
	"captioner/models/checkpoint"
	"captioner/models/decode"
	"captioner/weights"
	"captioner/weights/safetensors"
)

// authorsName gives a tensor's name among Florence-2's authors.
var authorsName = strings.NewReplacer(
	".conv.", ".proj.", ".conv1.", ".conv1.fn.dw.", ".conv2.", ".conv2.fn.dw.", ".qkv.", ".fn.qkv.",
	"_attn.proj.", "_attn.fn.proj.", ".ffn.fc", ".ffn.fn.net.fc",
	"spatial_block.norm1", "spatial_block.window_attn.norm", "channel_block.norm1", "channel_block.channel_attn.norm",
	".norm2", ".ffn.norm", "model.multi_modal_projector.image_position_embed", "image_pos_embed",
	"model.multi_modal_projector.image_projection.weight", "image_projection", "model.multi_modal_projector.", "",
	"model.language_model.", "language_model.model.", "model.vision_tower.", "vision_tower.",
)

// writeAuthors writes the small Florence-2 of Hugging Face as its authors have theirs.
func writeAuthors(t *testing.T, dir string) {
	t.Helper()
	from := filepath.Join(familiesDir, "florence2")
	src, err := safetensors.Open(filepath.Join(from, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	tensors, err := weights.All(src)
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range tensors {
		if tensors[i].Name = authorsName.Replace(n.Name); tensors[i].Name == "image_projection" {
			tensors[i] = turned(tensors[i])
		}
	}
	if err := safetensors.WriteFile(filepath.Join(dir, "model.safetensors"), tensors, nil); err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	b, err := os.ReadFile(filepath.Join(from, "config.json"))
	if err == nil {
		err = json.Unmarshal(b, &config)
	}
	if err != nil {
		t.Fatal(err)
	}
	vision := config["vision_config"].(map[string]any)
	vision["dim_embed"] = vision["embed_dim"]
	vision["model_type"] = "davit"
	vision["image_pos_embed"] = map[string]any{"type": "learned_abs_2d", "max_pos_embeddings": 50}
	vision["visual_temporal_embedding"] = map[string]any{"type": "COSINE", "max_temporal_embeddings": 100}
	vision["image_feature_source"] = []string{"spatial_avg_pool", "temporal_avg_pool"}
	for _, key := range []string{"embed_dim", "max_position_embeddings", "max_temporal_embeddings", "in_channels"} {
		delete(vision, key)
	}
	delete(config, "image_token_id")
	config["text_config"].(map[string]any)["model_type"] = "florence2_language"
	b, _ = json.Marshal(config)
	if err := os.WriteFile(filepath.Join(dir, "config.json"), b, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tokenizer.json", "preprocessor_config.json", "generation_config.json"} {
		b, err := os.ReadFile(filepath.Join(from, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// turned is a matrix of float16 on its side.
func turned(n weights.NamedTensor) weights.NamedTensor {
	rows, columns := int(n.Shape[0]), int(n.Shape[1])
	data := make([]byte, 0, len(n.Data))
	for c := range columns {
		for r := range rows {
			at := 2 * (r*columns + c)
			data = append(data, n.Data[at:at+2]...)
		}
	}
	n.Shape, n.Data = []int64{n.Shape[1], n.Shape[0]}, data
	return n
}

// A folder of Florence-2's authors gives the captions of Hugging Face's.
func TestFlorenceOfItsAuthors(t *testing.T) {
	dir := t.TempDir()
	writeAuthors(t, dir)
	r := compareFamilyAs(t, "florence2", dir, filepath.Join(familiesDir, "florence2"), "fp32")
	for _, o := range r.Other {
		t.Errorf("%s, %s: got %v, want %v", o.Path, o.Settings, o.Got, o.Want)
	}
}

// Captions do not depend on the images beside them, in any precision.
func TestFlorenceDoesNotDependOnTheBatch(t *testing.T) {
	for _, precision := range []string{"fp32", "bf16", "int8"} {
		c, err := Open(filepath.Join(familiesDir, "florence2"), Options{Device: "cpu", Precision: precision})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var images []*image.RGB
		for _, name := range []string{"dog", "beach", "street"} {
			if img, err := image.DecodeFile("../../examples/"+name+".jpg", image.Options{}); err == nil {
				images = append(images, c.Prepare(img))
			}
		}
		together, err := c.Caption(context.Background(), images, c.Defaults())
		if err != nil {
			t.Fatal(err)
		}
		for i := range images {
			alone, err := c.Caption(context.Background(), images[i:i+1], c.Defaults())
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(alone[0].Tokens, together[i].Tokens) || alone[0].LogProb != together[i].LogProb {
				t.Errorf("%s, image %d: got %v %v alone, %v %v beside others", precision, i, alone[0].Tokens,
					alone[0].LogProb, together[i].Tokens, together[i].LogProb)
			}
		}
	}
}

// What is wrong with a folder of Florence-2 is named in one line, before memory is taken.
func TestFlorenceRefusesByName(t *testing.T) {
	edit := func(file string, change func(all map[string]any)) func(dir string) error {
		return func(dir string) error {
			var all map[string]any
			b, err := os.ReadFile(filepath.Join(dir, file))
			if err == nil {
				err = json.Unmarshal(b, &all)
			}
			if err != nil {
				return err
			}
			change(all)
			b, _ = json.Marshal(all)
			return os.WriteFile(filepath.Join(dir, file), b, 0o644)
		}
	}
	in := func(all map[string]any, section string) map[string]any { return all[section].(map[string]any) }
	for _, tt := range []struct {
		name, want string
		change     func(dir string) error
	}{
		{"no tokenizer", "found neither tokenizer.json nor vocab.json with merges.txt",
			func(dir string) error { return os.Remove(filepath.Join(dir, "tokenizer.json")) }},
		{"no weights", "model.safetensors",
			func(dir string) error { return os.Remove(filepath.Join(dir, "model.safetensors")) }},
		{"other heads", "encoder_attention_heads: found 7, want a divisor of d_model 48",
			edit("config.json", func(c map[string]any) { in(c, "text_config")["encoder_attention_heads"] = 7 })},
		{"other width", "found embed_dim [16 32], want the [16 24] of the weights",
			edit("config.json", func(c map[string]any) {
				in(c, "vision_config")["dim_embed"], in(c, "vision_config")["num_heads"] = []int{16, 32}, []int{2, 4}
				in(c, "vision_config")["num_groups"] = []int{2, 4}
			})},
		{"another vocabulary", "found vocab_size 99, want the 320 of the weights",
			edit("config.json", func(c map[string]any) { in(c, "text_config")["vocab_size"] = 99 })},
		{"another projection", "found projection_dim 64, want the d_model 48 of text_config",
			edit("config.json", func(c map[string]any) { in(c, "vision_config")["projection_dim"] = 64 })},
		{"frames", `found image_feature_source ["last_frame"], want "spatial_avg_pool" and "temporal_avg_pool"`,
			edit("config.json", func(c map[string]any) {
				in(c, "vision_config")["image_feature_source"] = []string{"last_frame"}
			})},
		{"a draw", "found do_sample true, a setting of generate that changes its captions and is not supported",
			edit("generation_config.json", func(c map[string]any) { c["do_sample"] = true })},
		{"a forced token out of the vocabulary",
			"forced_bos_token_id: found the token 5000, want one of the vocabulary's 320",
			edit("generation_config.json", func(c map[string]any) { c["forced_bos_token_id"] = 5000 })},
		{"larger images than positions", "want at most 50 rows of as many",
			edit("preprocessor_config.json", func(c map[string]any) {
				c["size"] = map[string]any{"height": 512, "width": 512}
			})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			writeAuthors(t, dir)
			if err := tt.change(dir); err != nil {
				t.Fatal(err)
			}
			ck, err := checkpoint.Open(dir)
			if err == nil {
				ck.Close()
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %q in one line", err, tt.want)
			}
		})
	}
}

// A prompt that does not fit beside the image is refused as one.
func TestFlorenceRefusesLongPrompts(t *testing.T) {
	c, err := Open(filepath.Join(familiesDir, "florence2"), Options{Device: "cpu"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	long := strings.Repeat("zebra ", 50)
	_, err = decode.Request{Prompt: &long}.Resolve(c.Defaults(), c.Tokenizer().Encode, c.Positions())
	if err == nil || !strings.Contains(err.Error(), "want at most 95 tokens beside the image") {
		t.Errorf("got %v, want the prompt refused", err)
	}
}
