package captioner

import (
	"context"
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"captioner/data/image"
	"captioner/models/checkpoint"
	"captioner/models/decode"
	"captioner/models/encoder"
	"captioner/models/family"
)

// VisionEncoderDecoderModels of ViT, Swin or BEiT and GPT-2 as Hugging Face writes them (scripts/fixtures/vitgpt2.py).
const (
	vitDir  = "testdata/python/vit-gpt2"
	swinDir = "testdata/python/swin-gpt2"
	beitDir = "testdata/python/beit-gpt2"
)

type vitWant struct {
	Images []struct {
		Path     string
		Captions []struct {
			Settings settings
			Tokens   []int32
		}
	}
}

// settings are those of one call of generate, as a folder that holds them.
type settings map[string]any

// Read gives generation_config.json.
func (s settings) Read(name string) ([]byte, error) {
	if name != "generation_config.json" {
		return nil, fs.ErrNotExist
	}
	all := map[string]any{"num_beams": 4, "max_length": 16} // the fixtures' folders
	maps.Copy(all, s)
	return json.Marshal(all)
}

// vitOptions are the settings of a call over the folder's own.
func vitOptions(t *testing.T, own decode.Options, s settings) decode.Options {
	t.Helper()
	d, err := family.ReadGeneration(s, 1000)
	if err != nil {
		t.Fatal(err)
	}
	own.Beam, own.MaxLen, own.MinLen, own.NoRepeatNGram = d.Beam, d.MaxLen, d.MinLen, d.NoRepeatNGram
	own.LengthPenalty, own.EarlyStopping = d.LengthPenalty, d.EarlyStopping
	return own
}

// compareVit captions the photographs of a folder's want.json by all its settings. It gives the number of captions and
// the different ones.
func compareVit(t *testing.T, dir string) (all int, different map[string]bool) {
	t.Helper()
	var want vitWant
	if err := encoder.ReadJSON(encoder.Dir(dir), "want.json", &want); err != nil {
		t.Fatal(err)
	}
	c, err := Open(dir, Options{Device: "cpu"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if o := c.Defaults(); o.Beam != 4 || o.MaxLen != 15 || o.EarlyStopping != decode.StopFalse ||
		o.LengthPenalty != 1 ||
		o.NoRepeatNGram != 0 {
		t.Errorf("defaults: got %+v, want those of generation_config.json", o)
	}
	different = map[string]bool{}
	for _, img := range want.Images {
		picture, err := image.DecodeFile(filepath.Join("../..", img.Path), image.Options{})
		if err != nil {
			t.Fatal(err)
		}
		prepared := []*image.RGB{c.Prepare(picture)}
		for _, w := range img.Captions {
			got, err := c.Caption(context.Background(), prepared, vitOptions(t, c.Defaults(), w.Settings))
			if err != nil {
				t.Fatal(err)
			}
			all++
			if !slices.Equal(got[0].Tokens, w.Tokens) {
				t.Errorf("%s, %+v: got %v, want %v", img.Path, w.Settings, got[0].Tokens, w.Tokens)
			}
			different[got[0].Text] = true
		}
	}
	return all, different
}

// From the file of a photograph to the tokens that generate gives, greedily and by its beam search.
func TestEncoderDecoderFolderCaptions(t *testing.T) {
	for _, dir := range []string{vitDir, swinDir, beitDir} {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			all, different := compareVit(t, dir)
			if all < 80 || len(different) < 20 {
				t.Errorf("got %d captions, %d of them different, want 80 or more and 20 or more", all, len(different))
			}
		})
	}
}

// What a folder asks for that is not done is refused by name.
func TestViTFolderRefusals(t *testing.T) {
	for _, c := range []struct{ file, old, new, want string }{
		{"preprocessor_config.json", `"resample": 2`, `"resample": 1`, "resample"},
		{"preprocessor_config.json", `"height": 32`, `"height": 48`, "square"},
		{"preprocessor_config.json", `"do_resize": true`, `"do_resize": false`, "do_resize"},
		{
			"preprocessor_config.json",
			`"do_normalize": true`,
			`"do_center_crop": true, "crop_size": 30, "do_normalize": true`,
			"crop",
		},
		{"generation_config.json", `"num_beams": 4`, `"num_beams": 4, "do_sample": true`, "do_sample"},
		{"generation_config.json", `"num_beams": 4`, `"early_stopping": "often"`, "early_stopping"},
		{"config.json", `"hidden_act": "gelu"`, `"hidden_act": "relu"`, "hidden_act"},
		{"config.json", `"model_type": "vit"`, `"model_type": "deit"`, "deit"},
	} {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(vitDir)); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, c.file)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		changed := strings.Replace(string(b), c.old, c.new, 1)
		if changed == string(b) {
			t.Fatalf("%s: found no %s", c.file, c.old)
		}
		if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := checkpoint.Open(dir)
		if err == nil {
			f.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s with %s: got %v, want one line about %s", c.file, c.new, err, c.want)
		}
	}
}
