package captioner

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"captioner/models/checkpoint"
	"captioner/weights"
	"captioner/weights/safetensors"
)

// familyFolders are folders of captioners in the layout of transformers.
var familyFolders = []string{
	"testdata/families/blip", "testdata/families/git", "testdata/families/florence2", "testdata/python/vit-gpt2",
	"testdata/python/swin-gpt2", "testdata/python/beit-gpt2", "testdata/python/encoder-decoder",
}

// changed is a copy of a folder whose tensors were changed.
func changed(t *testing.T, dir string, change func([]weights.NamedTensor) []weights.NamedTensor) string {
	t.Helper()
	out := t.TempDir()
	if err := os.CopyFS(out, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	src, err := safetensors.Open(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	var all []weights.NamedTensor
	for _, name := range src.Names() {
		n, err := src.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		n.Data = slices.Clone(n.Data)
		all = append(all, n)
	}
	path := filepath.Join(out, "model.safetensors")
	if err := errors.Join(os.Remove(path), safetensors.WriteFile(path, change(all), src.Metadata())); err != nil {
		t.Fatal(err)
	}
	return out
}

// spoil makes the last number of a tensor infinite.
func spoil(n weights.NamedTensor) {
	switch end := len(n.Data); n.DType {
	case weights.F32:
		binary.LittleEndian.PutUint32(n.Data[end-4:], 0x7f800000)
	case weights.F16:
		binary.LittleEndian.PutUint16(n.Data[end-2:], 0x7e00)
	}
}

// One number that is infinite or none in any tensor is found before anything is captioned, whatever the precision would
// make of it.
func TestDamagedNumbers(t *testing.T) {
	for _, dir := range familyFolders {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			for _, part := range []string{"bias", "weight"} {
				for _, precision := range []string{"fp32", "int8"} {
					which := 0 // of several tensors, one is spoiled at a time
					for spoiled := true; spoiled && which < 60; which += 11 {
						spoiled = false
						bad := changed(t, dir, func(all []weights.NamedTensor) []weights.NamedTensor {
							seen := 0
							for _, n := range all {
								if strings.HasSuffix(n.Name, "."+part) && len(n.Data) >= 4 && !strings.HasSuffix(n.Name, "attn.bias") {
									if seen == which {
										spoil(n)
										spoiled = true
									}
									seen++
								}
							}
							return all
						})
						if !spoiled {
							break
						}
						c, err := Open(bad, Options{Device: "cpu", Precision: precision})
						var damage *weights.NotFiniteError
						if !errors.As(err, &damage) || damage.Bad != 1 || !strings.Contains(damage.Name, part) {
							t.Errorf("%s %d in %s: got %v, want an error that names the tensor", part, which, precision, err)
						}
						if err == nil {
							c.Close()
						}
					}
				}
			}
		})
	}
}

// extra is a tensor that no model has.
func extra(name string) func([]weights.NamedTensor) []weights.NamedTensor {
	return func(all []weights.NamedTensor) []weights.NamedTensor {
		return append(all, weights.NamedTensor{Name: name, DType: weights.F32, Shape: []int64{1}, Data: make([]byte, 4)})
	}
}

// A tensor beside the model's changes nothing, and is remarked. One in a layer of the model's says that this is another
// network.
func TestExtraTensors(t *testing.T) {
	for dir, layer := range map[string]string{ // a tensor in a layer
		"testdata/families/blip":      "text_decoder.bert.encoder.layer.0.odd.weight",
		"testdata/families/git":       "git.encoder.layer.0.odd.weight",
		"testdata/families/florence2": "model.language_model.decoder.layers.0.odd.weight",
		"testdata/python/vit-gpt2":    "decoder.transformer.h.0.odd.weight",
		"testdata/python/swin-gpt2":   "encoder.encoder.layers.0.blocks.0.odd.weight",
		"testdata/python/beit-gpt2":   "encoder.encoder.layer.0.odd.weight",
	} {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			var notices []string
			o := Options{Device: "cpu", Notice: func(s string) { notices = append(notices, s) }}
			c, err := Open(changed(t, dir, extra("odd.weight")), o)
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
			want := 1
			if slices.Contains([]string{"vit-gpt2", "swin-gpt2", "beit-gpt2", "blip"}, filepath.Base(dir)) {
				want = 0 // they look below their own prefixes alone
			}
			if len(notices) != want || want > 0 && !strings.Contains(notices[0], `"odd.weight"`) {
				t.Errorf("notices: got %q, want %d about odd.weight", notices, want)
			}
			c, err = Open(changed(t, dir, extra(layer)), o)
			var key *weights.KeyError
			if !errors.As(err, &key) || len(key.Unexpected) != 1 {
				t.Errorf("%s: got %v, want it refused", layer, err)
			}
			if err == nil {
				c.Close()
			}
		})
	}
}

// An adapter beside whole weights is named, since they may lack what it holds.
func TestAdapterBesideWeights(t *testing.T) {
	dir := changed(t, "testdata/families/git", func(all []weights.NamedTensor) []weights.NamedTensor { return all })
	if err := os.WriteFile(filepath.Join(dir, "adapter_config.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := checkpoint.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if remarks := f.Remarks(); len(remarks) != 1 || !strings.Contains(remarks[0], "adapter_config.json") ||
		!strings.Contains(remarks[0], "merge_and_unload") {
		t.Errorf("got %q, want a remark about adapter_config.json with what merges it", remarks)
	}
}
