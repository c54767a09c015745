package dinov2

import (
	"strings"
	"testing"

	"captioner/models/encoder"
	"captioner/models/vit"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/torch/torchtest"
	"captioner/weights"
)

// text is a folder of one config.json.
type text string

func (t text) Read(string) ([]byte, error) { return []byte(t), nil }

// opened describes a fixture of scripts/fixtures/towers.py.
func opened(t *testing.T, src weights.Source, config string) (encoder.Config, weights.Source, error) {
	t.Helper()
	view, err := weights.Rename(src, func(name string) (string, bool) { return name, !strings.HasPrefix(name, "want.") })
	if err != nil {
		t.Fatal(err)
	}
	return encoder.Table{Architecture()}.Open(view, text(config), true, nil)
}

// The network as it is stored gives the same tokens as the one that is prepared for inference (package checkpoint
// compares that), for images of every size.
func TestModelMatchesTransformers(t *testing.T) {
	for _, name := range []string{"plain", "registers", "gated", "gatedregisters"} {
		t.Run(name, func(t *testing.T) {
			src := torchtest.Fixture(t, "testdata/"+name+".safetensors")
			e, named, err := opened(t, src, src.Metadata()["config"])
			if err != nil {
				t.Fatal(err)
			}
			torchtest.EachDevice(t, func(t *testing.T, dev torch.Device) {
				m, err := vit.New(e.Encoder.(Tower).Config)
				if err != nil {
					t.Fatal(err)
				}
				defer m.Free()
				if err := m.Load(named, nn.LoadOptions{Prefix: encoder.Prefix, Device: dev}); err != nil {
					t.Fatal(err)
				}
				for _, name := range src.Names() {
					if side, ok := strings.CutPrefix(name, "want.image."); ok {
						x := torchtest.Get(t, src, name).To(torch.Float32).ToDevice(dev)
						torchtest.Close(t, "side "+side, m.Tokens(x), torchtest.Get(t, src, "want.tokens."+side))
					}
				}
			})
		})
	}
}

func TestConfigureRefuses(t *testing.T) {
	src := torchtest.Fixture(t, "testdata/plain.safetensors")
	good := `"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3, "image_size": 20, "patch_size": 4`
	if _, _, err := opened(t, src, "{"+good+"}"); err != nil {
		t.Fatal(err)
	}
	for config, want := range map[string]string{
		`{}`:                                         "hidden_size 768, want the 48",
		`{` + good + `, "image_size": 28}`:           "image_size 28 and patch_size 4, want the 5 rows",
		`{` + good + `, "patch_size": 0}`:            "patch_size 0",
		`{` + good + `, "hidden_act": "relu"}`:       `hidden_act "relu"`,
		`{` + good + `, "qkv_bias": false}`:          "qkv_bias false",
		`{` + good + `, "use_swiglu_ffn": true}`:     "use_swiglu_ffn true",
		`{` + good + `, "num_attention_heads": 7}`:   "heads",
		`{` + good + `, "model_type": "dinov3_vit"}`: "a DINOv3",
		`[]`: "config.json",
	} {
		if _, _, err := opened(t, src, config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want one with %q", config, err, want)
		}
	}
}

// The authors' files have timm's names, and SwiGLU under names of their own.
func TestKeysOfAuthors(t *testing.T) {
	rename := weights.Patterns(authors.Patterns...)
	for from, want := range map[string]string{
		"blocks.3.mlp.w12.weight": "blocks.3.mlp.fc1.weight",
		"blocks.3.mlp.w3.bias":    "blocks.3.mlp.fc2.bias",
	} {
		if got, ok := rename(from); !ok || got != want {
			t.Errorf("%s: got %q, want %q", from, got, want)
		}
	}
	src := torchtest.Fixture(t, "testdata/gatedregisters.safetensors")
	theirs, err := Keys(src)
	if err != nil {
		t.Fatal(err)
	}
	view, err := weights.Rename(theirs, func(name string) (string, bool) {
		name = strings.Replace(strings.Replace(name, "mlp.fc1", "mlp.w12", 1), "mlp.fc2", "mlp.w3", 1)
		return name, !strings.HasPrefix(name, "want.")
	})
	if err != nil {
		t.Fatal(err)
	}
	e, named, err := encoder.Table{Architecture()}.Open(view, nil, false, &encoder.Heads{Any: 2})
	if err != nil {
		t.Fatal(err)
	}
	if e.Architecture != "DINOv2 of 2 layers, width 48, patches of 4 with 3 registers" {
		t.Errorf("got %s", e.Architecture)
	}
	torchtest.Do(t, func() {
		network, err := e.Encoder.Load(named, nn.LoadOptions{Prefix: encoder.Prefix}, torch.Float32)
		if err != nil {
			t.Fatal(err)
		}
		network.Free()
	})
}

func TestRefusesDINOv3(t *testing.T) {
	src, err := weights.NewMemory([]weights.NamedTensor{{Name: "layer.0.layer_scale1.lambda1", DType: weights.F32,
		Shape: []int64{1}, Data: make([]byte, 4)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = encoder.Table{Architecture()}.Open(src, nil, false, nil)
	if err == nil || err.Error() != "found a DINOv3, want a DINOv2" {
		t.Errorf("got %v, want it refused by name", err)
	}
}
