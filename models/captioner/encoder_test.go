package captioner

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"captioner/data/image"
	"captioner/data/tokenizer"
	"captioner/models/checkpoint"
	"captioner/models/clip"
	"captioner/models/crossgpt2"
	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/models/gpt2"
	"captioner/models/vit"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/torch/torchtest"
	"captioner/weights"
	"captioner/weights/safetensors"
)

var (
	tinyViT = clip.Config{EmbedDim: 12, QuickGELU: true,
		Vision: clip.Vision{ImageSize: 32, Width: 64, Heads: 1, Layers: 2, PatchSize: 8, MLP: 128}}
	tinyResNet = clip.Config{EmbedDim: 12, QuickGELU: true,
		Vision: clip.Vision{ImageSize: 64, Width: 8, Heads: 4, Stages: []int{1, 1, 1, 1}}}
)

// clipFile writes a CLIP image tower of random weights in OpenAI's keys.
func clipFile(t testing.TB, c clip.Config) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "clip.safetensors")
	torchtest.Do(t, func() {
		torch.Seed(5)
		m, err := clip.New(c)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Free()
		randomFile(t, path, m, "")
	})
	return path
}

// blipFile writes a BLIP vision tower of random weights in LAVIS's keys.
func blipFile(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "blip.safetensors")
	torchtest.Do(t, func() {
		torch.Seed(5)
		m, err := vit.New(vit.Config{ImageSize: 32, PatchSize: 16, Width: 16, Heads: 1, Layers: 2, MLP: 32})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Free()
		randomFile(t, path, m, "visual_encoder.")
	})
	config := `{"vision_config": {"hidden_size": 16, "patch_size": 16, "num_attention_heads": 1}}`
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func randomFile(t testing.TB, path string, m any, prefix string) {
	t.Helper()
	for _, p := range nn.State(m) {
		nn.Constant(p.Tensor, 1)
		if p.Tensor.Rank() > 1 {
			nn.Normal(p.Tensor, 1/math.Sqrt(float64(p.Tensor.Numel()/p.Tensor.Dim(0))))
		}
	}
	if err := safetensors.WriteFile(path, nn.Save(m, prefix), nil); err != nil {
		t.Fatal(err)
	}
}

// captionerOn writes a captioner of random weights on the encoder in a file; without holds the encoder's weights back.
func captionerOn(t testing.TB, path, kind string, without bool) string {
	t.Helper()
	p, err := checkpoint.OpenEncoder(path)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.Checksum(); err != nil {
		t.Fatal(err)
	}
	m, err := encoder.NewMemory(p.Config, kind, 0)
	if err != nil {
		t.Fatal(err)
	}
	tok, _, err := tokenizer.GPT2().With(
		tokenizer.Options{Lowercase: true, PrefixSpace: true},
	).Trim(
		[]int32{262, 257, 3290},
	)
	if err != nil {
		t.Fatal(err)
	}
	c := family.Config{Name: "test", Encoder: p.Config, Memory: m,
		Decoder: crossgpt2.Decoder{
			Config: gpt2.Config{
				VocabSize:      int64(tok.VocabSize()),
				Positions:      16,
				Width:          16,
				Layers:         2,
				Heads:          2,
				Activation:     "gelu_new",
				Epsilon:        1e-5,
				InitRange:      .4,
				CrossAttention: true,
			},
		},
		Decoding: family.Decoding{Beam: 2, LengthPenalty: .7, MaxLen: 8, NoRepeatNGram: 3}}
	out := filepath.Join(t.TempDir(), "model.safetensors")
	torchtest.Do(t, func() {
		torch.Seed(3)
		m, err := crossgpt2.New(c)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Free()
		m.Init()
		var tensors []weights.NamedTensor
		if !without {
			if tensors, err = p.Tensors(); err != nil {
				t.Fatal(err)
			}
		}
		if err := checkpoint.Save(out, c, tok, family.Card{Name: "test"}, m, tensors); err != nil {
			t.Fatal(err)
		}
	})
	return out
}

// captionsOf captions some images, all at once or each alone.
func captionsOf(t *testing.T, c *Captioner, alone bool) []Caption {
	t.Helper()
	imgs := pictures(3)
	for i, p := range imgs {
		imgs[i] = c.Prepare(p)
	}
	each := len(imgs)
	if alone {
		each = 1
	}
	var out []Caption
	for i := 0; i < len(imgs); i += each {
		got, err := c.Caption(context.Background(), imgs[i:i+each], c.Defaults())
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, got...)
	}
	return out
}

// pictures1 is one image that c can take.
func pictures1(c *Captioner) []*image.RGB { return []*image.RGB{c.Prepare(pictures(1)[0])} }

// Every encoder with every memory: the file is written and read, features have the shape that is told, and no image
// depends on another.
func TestEncodersAndMemories(t *testing.T) {
	for name, path := range map[string]string{
		"ViT":    clipFile(t, tinyViT),
		"ResNet": clipFile(t, tinyResNet),
		"BLIP":   blipFile(t),
	} {
		for _, kind := range append([]string{""}, encoder.MemoryKinds...) {
			t.Run(name+" "+kind, func(t *testing.T) {
				live := torch.Live()
				c, err := Open(captionerOn(t, path, kind, false), Options{Device: "cpu", Threads: 1})
				if err != nil {
					t.Fatal(err)
				}
				together, alone := captionsOf(t, c, false), captionsOf(t, c, true)
				for i, w := range together {
					if g := alone[i]; g.Text != w.Text || math.Abs(g.LogProb-w.LogProb) > 1e-4 {
						t.Errorf("picture %d: got %q %.6f alone, want %q %.6f", i, g.Text, g.LogProb, w.Text, w.LogProb)
					}
				}
				places, width := c.FeatureShape()
				f, err := c.Features(context.Background(), pictures(0))
				if err != nil || len(f) != 0 {
					t.Errorf("no pictures: got %v, %v", f, err)
				}
				if f, err = c.Features(context.Background(), pictures1(c)); err != nil || len(f[0]) != places*width {
					t.Errorf("features: got %d numbers (%v), want %d places of %d", len(f[0]), err, places, width)
				}
				c.Close()
				if now := torch.Live(); now != live {
					t.Errorf("live tensors: got %d, want %d", now, live)
				}
			})
		}
	}
}

// A file without its encoder says which it wants, takes that one, and refuses others.
func TestEncoderLeftOut(t *testing.T) {
	own, other := clipFile(t, tinyViT), clipFile(t, tinyResNet)
	path := captionerOn(t, own, encoder.PooledPadded, true)
	_, err := Open(path, Options{Device: "cpu", Threads: 1})
	var missing *checkpoint.EncoderMissingError
	if !errors.As(err, &missing) || missing.SHA256 == "" || !strings.Contains(missing.Architecture, "ViT") {
		t.Errorf("no encoder: got %v, want an checkpoint.EncoderMissingError that names it", err)
	}
	if _, err := Open(path, Options{Device: "cpu", Threads: 1, Encoder: other}); err == nil ||
		!strings.Contains(err.Error(), "SHA-256") {
		t.Errorf("another encoder: got %v, want one with SHA-256", err)
	}
	odd := captionerOn(t, own, encoder.Grid, false)
	if _, err := Open(odd, Options{Device: "cpu", Threads: 1, Encoder: other}); err == nil ||
		!strings.Contains(err.Error(), "does not fit") {
		t.Errorf("an encoder of another shape: got %v, want does not fit", err)
	}
	c, err := Open(path, Options{Device: "cpu", Threads: 1, Encoder: own})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	whole, err := Open(captionerOn(t, own, encoder.PooledPadded, false), Options{Device: "cpu", Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer whole.Close()
	want := captionsOf(t, whole, false)
	for i, g := range captionsOf(t, c, false) { // the weights are float32 there and float16 here
		if math.Abs(g.LogProb-want[i].LogProb) > 2e-2 {
			t.Errorf("picture %d: got %q %.6f, want %q %.6f", i, g.Text, g.LogProb, want[i].Text, want[i].LogProb)
		}
	}
	blind, err := Open(path, Options{Device: "cpu", Threads: 1, NoEncoder: true})
	if err != nil {
		t.Fatal(err)
	}
	defer blind.Close()
	features := [][]float32{make([]float32, 12)}
	if _, err := blind.CaptionFeatures(context.Background(), features, blind.Defaults()); err != nil {
		t.Errorf("features without an encoder: %v", err)
	}
	if _, err := blind.Caption(context.Background(), pictures1(blind), blind.Defaults()); !errors.As(err, &missing) {
		t.Errorf("pictures without an encoder: got %v, want an checkpoint.EncoderMissingError", err)
	}
}

func TestOpenEncoderRefuses(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain.safetensors")
	if err := safetensors.WriteFile(plain, []weights.NamedTensor{{
		Name:  "x",
		DType: weights.F32,
		Shape: []int64{1},
		Data:  make([]byte, 4),
	}}, nil); err != nil {
		t.Fatal(err)
	}
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("no model at all"), 0o666); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		plain:                         "no encoder that this version knows",
		text:                          "neither",
		filepath.Join(dir, "nothing"): "no such file",
	} {
		if _, err := checkpoint.OpenEncoder(path); err == nil || !strings.Contains(err.Error(), want) ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want one line with %q", filepath.Base(path), err, want)
		}
	}
}
