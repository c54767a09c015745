package siglip

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

// The network as it is stored gives the same tokens as the one that is prepared for inference; package checkpoint
// compares that.
func TestModelMatchesTransformers(t *testing.T) {
	for _, name := range []string{"whole", "odd", "other"} {
		t.Run(name, func(t *testing.T) {
			src := torchtest.Fixture(t, "testdata/"+name+".safetensors")
			e, named, err := encoder.Table{Architecture()}.Open(src, text(src.Metadata()["config"]), true, nil)
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
	src := torchtest.Fixture(t, "testdata/other.safetensors")
	good := `"model_type": "siglip_vision_model", "hidden_size": 48, "num_hidden_layers": 1, "intermediate_size": 80, ` +
		`"num_attention_heads": 6, "image_size": 32`
	for config, want := range map[string]string{
		`{` + good + `}`:                   "",
		`{}`:                               "hidden_size 768, want the 48",
		`{` + good + `, "image_size": 48}`: "image_size 48 and patch_size 16, want the 2 rows",
		`{` + good + `, "hidden_act": "quick_gelu"}`: `hidden_act "quick_gelu", want gelu_pytorch_tanh or gelu`,
		`{` + good + `, "num_attention_heads": 7}`:   "heads",
		`{` + good + `, "num_channels": 1}`:          "num_channels 1",
		`{` + good + `, "model_type": "siglip2"}`:    "NaFlex",
		`[]`: "config.json",
	} {
		_, _, err := encoder.Table{Architecture()}.Open(src, text(config), true, nil)
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", config, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: got error %v, want one with %q", config, err, want)
		}
	}
}

// Of a file alone, the sizes are those of the published towers.
func TestOpenOfWeightsAlone(t *testing.T) {
	shape := func(shape ...int64) weights.NamedTensor {
		n := int64(2)
		for _, d := range shape {
			n *= d
		}
		return weights.NamedTensor{DType: weights.F16, Shape: shape, Data: make([]byte, n)}
	}
	tensors := map[string]weights.NamedTensor{
		"embeddings.patch_embedding.weight":    shape(1152, 3, 14, 14),
		"embeddings.patch_embedding.bias":      shape(1152),
		"embeddings.position_embedding.weight": shape(27*27, 1152),
		"encoder.layers.0.mlp.fc1.weight":      shape(4304, 1152),
		"encoder.layers.0.mlp.fc2.weight":      shape(1152, 4304),
	}
	var all []weights.NamedTensor
	for name, n := range tensors {
		n.Name = "vision_model." + name
		all = append(all, n)
	}
	src, err := weights.NewMemory(all, nil)
	if err != nil {
		t.Fatal(err)
	}
	e, _, err := encoder.Table{Architecture()}.Open(src, nil, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c := e.Encoder.(Tower); c.Heads != 16 || c.ImageSize != 384 || e.Preprocess.Size != 384 {
		t.Errorf("got %+v, want 16 heads and images of 384", c)
	}
	if _, err := encoder.NewMemory(e, encoder.PooledPadded, 0); err == nil {
		t.Error("pooled memory: accepted")
	}
	m, err := encoder.NewMemory(e, "", 0)
	if err != nil || m.Kind != encoder.Patches || m.Positions != 729 || m.In != 1152 {
		t.Errorf("got memory %+v and error %v, want 729 patches of 1152", m, err)
	}
}

func TestRefusesNaFlex(t *testing.T) {
	src, err := weights.NewMemory([]weights.NamedTensor{
		{
			Name: "vision_model.embeddings.patch_embedding.weight", DType: weights.F32, Shape: []int64{1, 2},
			Data: make([]byte, 8),
		},
		{Name: "vision_model.embeddings.patch_embedding.bias", DType: weights.F32, Shape: []int64{1}, Data: make([]byte, 4)},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = encoder.Table{Architecture()}.Open(src, nil, false, nil)
	if err == nil || !strings.Contains(err.Error(), "NaFlex") {
		t.Errorf("got %v, want it refused by name", err)
	}
}
