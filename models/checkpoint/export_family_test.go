package checkpoint

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"captioner/weights/safetensors"
)

// What transformers saved is given back as it was: every tensor, every setting that this program knows, and the tokens.
func TestExportBLIPAsTransformersSavesIt(t *testing.T) {
	const saved = "../train/testdata/blip"
	f, err := Open(saved)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dir := t.TempDir()
	file, folder := filepath.Join(dir, "one.safetensors"), filepath.Join(dir, "folder")
	if err := f.Export(context.Background(), file, FormCaptioner, ExportOptions{}); err != nil {
		t.Fatal(err)
	}
	one, err := Open(file) // as a training ends with
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	if err := one.Export(context.Background(), folder, FormHuggingFace, ExportOptions{}); err != nil {
		t.Fatal(err)
	}
	sameFileTensors(t, filepath.Join(folder, "model.safetensors"), filepath.Join(saved, "model.safetensors"))
	for _, name := range []string{"config.json", "generation_config.json", "preprocessor_config.json"} {
		sameSettings(t, name, settings(t, filepath.Join(folder, name)), settings(t, filepath.Join(saved, name)))
	}
	vocab, _ := os.ReadFile(filepath.Join(folder, "vocab.txt"))
	if want, _ := os.ReadFile(filepath.Join(saved, "vocab.txt")); !bytes.Equal(vocab, want) {
		t.Errorf("vocab.txt: got %q, want %q", vocab, want)
	}
	for _, part := range []string{"added_tokens", "post_processor", "normalizer", "pre_tokenizer", "decoder", "model"} {
		got := settings(t, filepath.Join(folder, "tokenizer.json"))[part]
		if want := settings(t, filepath.Join(saved, "tokenizer.json"))[part]; !reflect.DeepEqual(got, want) {
			t.Errorf("tokenizer.json: %s: got %v, want %v", part, got, want)
		}
	}
	again, err := Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	again.Config.Name, again.Config.Encoder.SHA256 = f.Config.Name, f.Config.Encoder.SHA256
	if !reflect.DeepEqual(again.Config, f.Config) {
		t.Errorf("description: got %+v, want %+v", again.Config, f.Config)
	}
}

// settings reads a file of JSON.
func settings(t *testing.T, path string) (out map[string]any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// sameSettings expects those that both have to be the same, but for what says nothing of a trained model, and none to
// be gone that counts.
func sameSettings(t *testing.T, name string, got, want map[string]any) {
	t.Helper()
	idle := map[string]bool{
		"dtype": true, "transformers_version": true, "_from_model_config": true, "initializer_range": true,
		"initializer_factor": true, "projection_dim": true, "logit_scale_init_value": true, "image_text_hidden_size": true,
		"use_cache": true, "attention_dropout": true, "label_smoothing": name == "config.json", "eos_token_id": true,
	}
	for key, w := range want {
		g, ok := got[key]
		if inner, nested := w.(map[string]any); nested && ok {
			sameSettings(t, name+": "+key, g.(map[string]any), inner)
		} else if !idle[key] && !reflect.DeepEqual(g, w) {
			t.Errorf("%s: %s: got %v, want %v", name, key, g, w)
		}
	}
}

// sameFileTensors expects two files to hold the same tensors.
func sameFileTensors(t *testing.T, path, like string) {
	t.Helper()
	a, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := safetensors.Open(like)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if len(a.Names()) != len(b.Names()) {
		t.Errorf("%s: got %d tensors, want %d", path, len(a.Names()), len(b.Names()))
	}
	for _, name := range b.Names() {
		want, err := b.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := a.Tensor(name); err != nil || got.DType != want.DType || !bytes.Equal(got.Data, want.Data) {
			t.Errorf("%s: got %v, %v, want what transformers saved", name, got.Shape, err)
		}
	}
}
