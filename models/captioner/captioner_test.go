package captioner

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"captioner/data/image"
	"captioner/data/tokenizer"
	"captioner/models/batch"
	"captioner/models/checkpoint"
	"captioner/models/crossgpt2"
	"captioner/models/efficientnet"
	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/models/gpt2"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/torch/torchtest"
	"captioner/weights"
	"captioner/weights/safetensors"
)

// modelFile writes a captioner of random weights and returns its path.
func modelFile(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.safetensors")
	tok, _, err := tokenizer.GPT2().With(
		tokenizer.Options{Lowercase: true, PrefixSpace: true},
	).Trim(
		[]int32{262, 257, 3290},
	)
	if err != nil {
		t.Fatal(err)
	}
	net := efficientnet.Lite0().WithoutHead()
	c := family.Config{
		Name: "test", Encoder: encoder.Config{Architecture: "efficientnet-lite0", Encoder: net,
			Preprocess: image.Preprocess{
				Size: 64,
				Fit:  "squash",
				Mean: [3]float64{127, 127, 127},
				Std:  [3]float64{128, 128, 128},
			}},
		Memory: encoder.Memory{Kind: encoder.Grid, In: net.GridChannels(), Side: net.GridSide(64)},
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
		Decoding: family.Decoding{Beam: 3, LengthPenalty: .7, MaxLen: 8, NoRepeatNGram: 3},
	}
	torchtest.Do(t, func() {
		torch.Seed(3)
		m, err := crossgpt2.New(c)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Free()
		m.Init()
		e, err := efficientnet.New(net)
		if err != nil {
			t.Fatal(err)
		}
		defer e.Free()
		for _, p := range nn.State(e) {
			nn.Constant(p.Tensor, 1)
			if p.Tensor.Rank() > 1 {
				nn.Normal(p.Tensor, math.Sqrt(2/float64(p.Tensor.Numel()/p.Tensor.Dim(0))))
			}
		}
		card := family.Card{Name: "test", Licence: "none"}
		if err := checkpoint.Save(path, c, tok, card, m, nn.Save(e, "encoder")); err != nil {
			t.Fatal(err)
		}
	})
	return path
}

func pictures(n int) []*image.RGB {
	r := rand.New(rand.NewPCG(1, 2))
	out := make([]*image.RGB, n)
	for i := range out {
		out[i] = image.New(90, 70)
		for k := range out[i].Pix {
			out[i].Pix[k] = byte(r.Uint32() >> (i % 3) & 255)
		}
	}
	return out
}

// A caption and its probability do not depend on the batch that the image is in.
func TestCaptionsDoNotDependOnTheBatch(t *testing.T) {
	c, err := Open(modelFile(t), Options{Device: "cpu", Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	imgs := pictures(9)
	for i, p := range imgs {
		imgs[i] = c.Prepare(p)
	}
	for _, beam := range []int{1, 3} {
		o := c.Defaults()
		o.Beam = beam
		want, err := c.Caption(context.Background(), imgs, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{1, 2, 4} {
			for from := 0; from < len(imgs); from += size {
				got, err := c.Caption(context.Background(), imgs[from:min(from+size, len(imgs))], o)
				if err != nil {
					t.Fatal(err)
				}
				for k, g := range got {
					w := want[from+k]
					if g.Text != w.Text || math.Abs(g.LogProb-w.LogProb) > 1e-4 {
						t.Errorf(
							"beam %d, batch of %d, picture %d: got %q %.6f, want %q %.6f",
							beam,
							size,
							from+k,
							g.Text,
							g.LogProb,
							w.Text,
							w.LogProb,
						)
					}
				}
			}
		}
	}
}

// With each choice of kernels, and the kernels of each processor, it is not even a rounding that differs: with any
// encoder in float32, and with a ViT in any precision.
func TestCaptionsAreTheSameBits(t *testing.T) {
	for _, engine := range nn.Engines {
		t.Run(string(engine), func(t *testing.T) { captionsAreTheSameBits(t, engine) })
	}
	for _, isa := range torch.ISAs {
		t.Run(isa, func(t *testing.T) {
			if err := torch.LimitISA(isa); err != nil {
				t.Fatal(err)
			}
			defer torch.LimitISA("all")
			if !torch.HasISA(isa) {
				t.Skip("this processor has no " + isa)
			}
			captionsAreTheSameBits(t, nn.Own)
		})
	}
}

func captionsAreTheSameBits(t *testing.T, engine nn.Engine) {
	if !torch.HasPanels(torch.Float32) {
		t.Skip("this processor has no AVX2")
	}
	vit := captionerOn(t, clipFile(t, tinyViT), "", false)
	for _, tt := range []struct{ name, path, precision string }{
		{"ViT", vit, "fp32"},
		{"ViT", vit, "bf16"},
		{"ViT", vit, "int8"},
		{"ResNet", captionerOn(t, clipFile(t, tinyResNet), "", false), "fp32"},
		{"pooled ResNet", captionerOn(t, clipFile(t, tinyResNet), encoder.PooledPadded, false), "fp32"},
		{"BLIP", captionerOn(t, blipFile(t), "", false), "fp32"},
		{"EfficientNet", modelFile(t), "fp32"},
	} {
		t.Run(tt.name+" "+tt.precision, func(t *testing.T) {
			if tt.precision == "bf16" && !torch.HasPanels(torch.BFloat16) {
				t.Skip("this processor has no bfloat16")
			}
			sameBits(t, tt.path, tt.precision, nn.Fixed{Encoder: engine, Decoder: engine})
		})
	}
}

// sameBits captions the same images in batches of several sizes.
func sameBits(t *testing.T, path, precision string, kernels nn.Kernels) {
	c, err := Open(path, Options{Device: "cpu", Precision: precision, Kernels: kernels})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	imgs := pictures(64)
	for i, p := range imgs {
		imgs[i] = c.Prepare(p)
	}
	o := c.Defaults()
	o.Beam = 4
	var want []Caption
	for _, size := range []int{64, 7, 1} {
		var got []Caption
		for batch := range slices.Chunk(imgs, size) {
			captions, err := c.Caption(context.Background(), batch, o)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, captions...)
		}
		if want == nil {
			want = got
		}
		for i, w := range want {
			if g := got[i]; g.Text != w.Text || g.LogProb != w.LogProb {
				const found = "batch of %d, image %d: got %q %.9f, want %q %.9f"
				t.Errorf(found, size, i, g.Text, g.LogProb, w.Text, w.LogProb)
			}
		}
	}
}

// The greedy caption's log-probability is the one that the training forward gives to its tokens.
func TestLogProbIsTheModels(t *testing.T) {
	f, err := checkpoint.Open(modelFile(t))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	torchtest.Do(t, func() {
		m, err := f.LoadLearner(torch.CPU, false)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Free()
		w := m.Writer(torch.Float32)
		defer w.Free()
		torch.Seed(4)
		features := torch.Randn(
			torch.Float32,
			torch.CPU,
			1,
			f.Config.Memory.Side*f.Config.Memory.Side,
			f.Config.Memory.In,
		)
		o := f.Defaults()
		o.Beam, o.MaxLen = 1, 5
		hyps, err := family.Search(w, features, 1, o)
		if err != nil {
			t.Fatal(err)
		}
		h := hyps[0][0]
		row := append([]int32{o.BOS}, h.Tokens...)
		if h.Finished {
			row = append(row, o.EOS)
		}
		b, err := batch.Pack([][]int32{row}, torch.CPU)
		if err != nil {
			t.Fatal(err)
		}
		nll := torch.CrossEntropy(m.Logits(b, features, false), b.Targets, torch.Sum, batch.Ignore, 0).Float()
		if math.Abs(nll+h.LogProb) > 1e-4 {
			t.Errorf("log-probability: got %.6f, want %.6f", h.LogProb, -nll)
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	good, err := os.ReadFile(modelFile(t))
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, b []byte) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, b, 0o666); err != nil {
			t.Fatal(err)
		}
		return p
	}
	plain := filepath.Join(dir, "plain.safetensors")
	if err := safetensors.WriteFile(plain, []weights.NamedTensor{{
		Name:  "x",
		DType: weights.F32,
		Shape: []int64{1},
		Data:  make([]byte, 4),
	}}, nil); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ path, want string }{
		"missing":      {filepath.Join(dir, "nothing"), "no such file"},
		"cut":          {write("cut", good[:len(good)/2]), "cut"},
		"not a model":  {write("text", []byte("hello, this is no model at all")), "text"},
		"no captioner": {plain, "captioner.config"},
		"broken config": {
			write("config", []byte(strings.Replace(string(good), `\"n_layer\":2`, `\"n_layer\":3`, 1))),
			"found a description of 3 layers",
		},
	} {
		_, err := Open(c.path, Options{Device: "cpu", Threads: 1})
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want one line with %q", name, err, c.want)
		}
	}
	if _, err := Open(plain, Options{Device: "cpu", Threads: 1, Precision: "fp8"}); err == nil {
		t.Error("precision fp8: no error")
	}
	if _, err := checkpoint.Open(plain); !errors.Is(err, checkpoint.ErrNotCaptioner) {
		t.Errorf("got %v, want checkpoint.ErrNotCaptioner", err)
	}
}

func TestCloseFreesEverything(t *testing.T) {
	before := torch.Live()
	c, err := Open(modelFile(t), Options{Device: "cpu", Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if after := torch.Live(); after != before {
		t.Errorf("live tensors: got %d, want %d", after, before)
	}
}
