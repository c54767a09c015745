package vit

import (
	"slices"
	"strings"
	"testing"

	"captioner/data/image"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/torch/torchtest"
	"captioner/weights"
)

// face makes the model of the fixture on dev: Hugging Face's ViTModel, as scripts/fixtures/vit.py ran it.
func face(t *testing.T, src weights.Source, dev torch.Device) *Model {
	t.Helper()
	view, err := Keys(src)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ConfigOf(view)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Configure([]byte(src.Metadata()["config"])); err != nil {
		t.Fatal(err)
	}
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ignore := func(name string) bool { return strings.HasPrefix(name, "map.") || strings.HasPrefix(name, "want.") }
	if err := m.Load(view, nn.LoadOptions{Device: dev, Ignore: ignore}); err != nil {
		m.Free()
		t.Fatal(err)
	}
	return m
}

func TestModelMatchesTransformers(t *testing.T) {
	src := torchtest.Fixture(t, "testdata/face.safetensors")
	torchtest.EachDevice(t, func(t *testing.T, dev torch.Device) {
		m := face(t, src, dev)
		defer m.Free()
		if m.Config.Heads != 3 || m.Config.NormEpsilon != 1e-3 {
			t.Errorf("config: got %+v, want 3 heads and the epsilon 1e-3", m.Config)
		}
		seen := map[string]bool{}
		m.trace = func(name string, got *torch.Tensor) {
			seen["map."+name] = true
			torchtest.Close(t, name, got, torchtest.Get(t, src, "map."+name))
		}
		x := torchtest.Get(t, src, "want.image").To(torch.Float32).ToDevice(dev)
		torchtest.Close(t, "tokens", m.Tokens(x), torchtest.Get(t, src, "want.tokens"))
		torchtest.Close(t, "class token", m.EncodeImage(x), torchtest.Get(t, src, "want.tokens").Select(1, 0))
		for _, name := range src.Names() {
			if strings.HasPrefix(name, "map.") && !seen[name] {
				t.Errorf("%s: not computed", name)
			}
		}
	})
}

func TestEncoderMatchesTransformers(t *testing.T) {
	src := torchtest.Fixture(t, "testdata/face.safetensors")
	for _, d := range []torch.DType{torch.Float32, torch.BFloat16} {
		t.Run(d.String(), func(t *testing.T) {
			torchtest.EachDevice(t, func(t *testing.T, dev torch.Device) {
				m := face(t, src, dev)
				e := m.Encoder(d)
				defer e.Free()
				m.Free()
				seen := 0
				e.trace = func(name string, got *torch.Tensor) {
					torchtest.CloseIn(t, d, .03, name, got, torchtest.Get(t, src, "map."+name))
					seen++
				}
				x := torchtest.Get(t, src, "want.image").To(torch.Float32).ToDevice(dev)
				torchtest.CloseIn(t, d, .03, "tokens", e.Tokens(x), torchtest.Get(t, src, "want.tokens"))
				if seen != m.Config.Layers {
					t.Errorf("got %d maps, want one of each of %d blocks", seen, m.Config.Layers)
				}
			})
		})
	}
}

// The features of an image must not depend on the batch that it comes in, not by one bit: captions are compared with
// ==.
func TestEncoderDoesNotDependOnTheBatch(t *testing.T) {
	c := Config{
		ImageSize: 64,
		PatchSize: 16,
		Width:     768,
		Heads:     12,
		Layers:    1,
		MLP:       3072,
	} // the widths of ViT-B, for oneDNN chooses its kernels by them
	for _, d := range []torch.DType{torch.Float32, torch.BFloat16} {
		t.Run(d.String(), func(t *testing.T) {
			torchtest.Do(t, func() {
				m, err := New(c)
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range nn.State(m) {
					nn.Normal(p.Tensor, 0.05)
				}
				e := m.Encoder(d)
				defer e.Free()
				m.Free()
				x := torch.Randn(torch.Float32, torch.CPU, 19, 3, c.ImageSize, c.ImageSize)
				whole := e.EncodeImage(x)
				for _, batch := range []int64{1, 3, 4, 17} {
					for from := int64(0); from+batch <= x.Dim(0); from += batch {
						torchtest.CloseTo(
							t,
							"features",
							e.EncodeImage(x.Narrow(0, from, batch)),
							whole.Narrow(0, from, batch),
							torchtest.Tolerance{},
						)
					}
				}
			})
		})
	}
}

// ViTImageProcessor without its last step, which the encoder does: bilinear to a square.
func TestPreprocessMatchesTransformers(t *testing.T) {
	src := torchtest.Fixture(t, "testdata/pixels.safetensors")
	picture, err := image.DecodeFile("../../"+src.Metadata()["photograph"], image.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	want, err := src.Tensor("pixels")
	if err != nil {
		t.Fatal(err)
	}
	p := image.Preprocess{
		Size:   int(want.Shape[0]),
		Fit:    image.FitSquash,
		Filter: image.FilterLinear,
		Mean:   Mean,
		Std:    Std,
	}
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	if got := p.Apply(picture).Pix; !slices.Equal(got, want.Data) {
		t.Errorf("pixels differ from those of transformers: got %v…, want %v…", got[:6], want.Data[:6])
	}
}

func TestConfigureRefuses(t *testing.T) {
	for _, text := range []string{
		`{"model_type": "deit"}`,
		`{"hidden_act": "relu"}`,
		`{"qkv_bias": false}`,
		`{"num_attention_heads": 7}`,
		`{"layer_norm_eps": -1}`,
		`[]`,
	} {
		c := Config{ImageSize: 32, PatchSize: 16, Width: 48, Heads: 1, Layers: 1, MLP: 96}
		if err := c.Configure([]byte(text)); err == nil {
			t.Errorf("%s: accepted", text)
		}
	}
}
