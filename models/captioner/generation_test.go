package captioner

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"captioner/data/image"
	"captioner/models/decode"
)

// generationWant is what scripts/fixtures/generation.py wrote: what transformers' generate gives by settings of
// generation_config.json.
type generationWant struct {
	Photographs []string
	Captions    []struct {
		Family string
		Config map[string]any
		Prompt string
		Tokens [][]int32 // of each photograph, without begin, prompt and end
	}
}

// Each setting of generation_config.json that changes captions changes them as in transformers, token for token.
func TestGenerationConfig(t *testing.T) {
	var want generationWant
	b, err := os.ReadFile("testdata/generation.json")
	if err == nil {
		err = json.Unmarshal(b, &want)
	}
	if err != nil {
		t.Fatal(err)
	}
	var photographs []*image.RGB
	for _, path := range want.Photographs {
		img, err := image.DecodeFile(filepath.Join("../..", path), image.Options{})
		if err != nil {
			t.Fatal(err)
		}
		photographs = append(photographs, img)
	}
	for _, w := range want.Captions {
		dir := t.TempDir()
		config, _ := json.Marshal(w.Config)
		t.Run(w.Family+" "+w.Prompt+" "+string(config), func(t *testing.T) {
			linkModel(t, filepath.Join(familiesDir, w.Family), dir)
			if err := os.WriteFile(filepath.Join(dir, "generation_config.json"), config, 0o644); err != nil {
				t.Fatal(err)
			}
			for i, got := range captionWith(t, dir, w.Prompt, photographs) {
				if !slices.Equal(got, w.Tokens[i]) {
					t.Errorf("%s: got %v, want %v", want.Photographs[i], got, w.Tokens[i])
				}
			}
		})
	}
}

// linkModel puts the files of a model into dir, but for its generation_config.json.
func linkModel(t *testing.T, model, dir string) {
	t.Helper()
	for _, name := range []string{
		"config.json", "model.safetensors", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json",
	} {
		path, err := filepath.Abs(filepath.Join(model, name))
		if err == nil {
			err = os.Symlink(path, filepath.Join(dir, name))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// captionWith captions photographs by a model's own settings: the tokens behind the prompt.
func captionWith(t *testing.T, dir, prompt string, photographs []*image.RGB) (out [][]int32) {
	t.Helper()
	c, err := Open(dir, Options{Device: "cpu"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	o, err := decode.Request{Prompt: &prompt}.Resolve(c.Defaults(), c.Tokenizer().Encode, c.Positions())
	if err != nil {
		t.Fatal(err)
	}
	var images []*image.RGB
	for _, p := range photographs {
		images = append(images, c.Prepare(p))
	}
	captions, err := c.Caption(context.Background(), images, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range captions {
		out = append(out, got.Tokens[o.Begun():])
	}
	return out
}
