package captioner

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"captioner/data/image"
	"captioner/models/checkpoint"
	"captioner/torch"
	"captioner/torch/torchtest"
	"captioner/weights"
	"captioner/weights/safetensors"
)

// cocaVocabulary is CLIP's; cocaFixture has a smaller one.
const (
	cocaVocabulary = 49408
	cocaFixture    = "../coca/testdata/coca.safetensors"
	cocaSettings   = `{"model_cfg": {"embed_dim": 32, "vision_cfg": {"head_width": 8, "attn_pooler_heads": 4%s},
		"text_cfg": {"heads": 2}, "multimodal_cfg": {"heads": 2}},
		"preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}}`
)

// cocaFolder writes a folder as open_clip has it: the fixture's model with random rows for the rest of CLIP's tokens.
func cocaFolder(t *testing.T, more string) string {
	t.Helper()
	src := torchtest.Fixture(t, cocaFixture)
	dir := t.TempDir()
	var tensors []weights.NamedTensor
	torchtest.Do(t, func() {
		torch.Seed(3)
		for _, name := range src.Names() {
			if strings.HasPrefix(name, "want.") {
				continue
			}
			shape := torchtest.Get(t, src, name).Shape()
			switch name {
			case "text.token_embedding.weight":
				shape = []int64{cocaVocabulary, shape[1]}
			case "text_decoder.text_projection":
				shape = []int64{shape[0], cocaVocabulary}
			default:
				x, err := src.Tensor(name)
				if err != nil {
					t.Fatal(err)
				}
				tensors = append(tensors, x)
				continue
			}
			x := torch.Randn(torch.Float32, torch.CPU, shape...).To(torch.Float16).Contiguous()
			tensors = append(tensors, weights.NamedTensor{Name: name, DType: weights.F16, Shape: shape, Data: x.Bytes()})
		}
	})
	err := safetensors.WriteFile(filepath.Join(dir, "open_clip_model.safetensors"), tensors, nil)
	if err == nil {
		settings := fmt.Sprintf(cocaSettings, more)
		err = os.WriteFile(filepath.Join(dir, "open_clip_config.json"), []byte(settings), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// A folder of open_clip, and the model file that it becomes, give the same captions, alone and in a batch.
func TestCoCaFolder(t *testing.T) {
	dir := cocaFolder(t, "")
	ck, err := checkpoint.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer ck.Close()
	path := filepath.Join(t.TempDir(), "model.safetensors")
	if err := ck.Export(context.Background(), path, checkpoint.FormCaptioner, checkpoint.ExportOptions{}); err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, p := range []string{dir, path} {
		c, err := Open(p, Options{Device: "cpu"})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var images []*image.RGB
		for _, name := range []string{"dog.jpg", "beach.jpg"} {
			x, err := image.DecodeFile(filepath.Join("../../examples", name), image.Options{})
			if err != nil {
				t.Fatal(err)
			}
			images = append(images, c.Prepare(x))
		}
		if c.Defaults().Beam != 2 || c.Defaults().MaxLen != 18 {
			t.Errorf("got beam %d and %d tokens, want 2 and the model's 18", c.Defaults().Beam, c.Defaults().MaxLen)
		}
		both, err := c.Caption(context.Background(), images, c.Defaults())
		if err != nil {
			t.Fatal(err)
		}
		alone, err := c.Caption(context.Background(), images[1:], c.Defaults())
		if err != nil {
			t.Fatal(err)
		}
		if got, want := fmt.Sprint(alone[0]), fmt.Sprint(both[1]); got != want {
			t.Errorf("got %s alone, want %s as in a batch", got, want)
		}
		texts = append(texts, fmt.Sprint(both))
	}
	if texts[0] != texts[1] {
		t.Errorf("got %s from the model file, want %s", texts[1], texts[0])
	}
}

// What this program does not have of open_clip is named.
func TestCoCaOfOtherParts(t *testing.T) {
	dir := cocaFolder(t, `, "timm_model_name": "vit_base"`)
	_, err := checkpoint.Open(dir)
	if err == nil || !strings.Contains(err.Error(), "timm_model_name") {
		t.Errorf("got %v, want timm_model_name in it", err)
	}
}
