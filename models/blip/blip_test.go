package blip

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"captioner/data/image"
	"captioner/models/vit"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/torch/torchtest"
	"captioner/weights"
)

// load makes the model of a fixture on dev, whatever its layout.
func load(t *testing.T, src weights.Source, dev torch.Device) *vit.Model {
	t.Helper()
	view, err := Keys(src)
	if err != nil {
		t.Fatal(err)
	}
	c, err := vit.ConfigOf(view)
	if err != nil {
		t.Fatal(err)
	}
	// The heads of the fixtures are narrower than those of published models.
	if c.Heads, err = strconv.ParseInt(src.Metadata()["heads"], 10, 64); err != nil {
		t.Fatal(err)
	}
	m, err := vit.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Load(view, nn.LoadOptions{Device: dev}); err != nil {
		m.Free()
		t.Fatal(err)
	}
	return m
}

func TestModelMatchesPyTorch(t *testing.T) {
	for _, name := range []string{"lavis", "huggingface"} {
		t.Run(name, func(t *testing.T) {
			src := torchtest.Fixture(t, "testdata/"+name+".safetensors")
			torchtest.EachDevice(t, func(t *testing.T, dev torch.Device) {
				m := load(t, src, dev)
				defer m.Free()
				x := torchtest.Get(t, src, "image").To(torch.Float32).ToDevice(dev)
				torchtest.Close(t, "image_features", m.EncodeImage(x), torchtest.Get(t, src, "image_features"))
				torchtest.Close(t, "tokens", m.Tokens(x), torchtest.Get(t, src, "tokens"))
			})
		})
	}
}

func TestEncoderMatchesPyTorch(t *testing.T) {
	src := torchtest.Fixture(t, "testdata/lavis.safetensors")
	for _, d := range []torch.DType{torch.Float32, torch.BFloat16} {
		t.Run(d.String(), func(t *testing.T) {
			torchtest.EachDevice(t, func(t *testing.T, dev torch.Device) {
				m := load(t, src, dev)
				e := m.Encoder(d)
				defer e.Free()
				m.Free()
				x := torchtest.Get(t, src, "image").To(torch.Float32).ToDevice(dev)
				torchtest.CloseIn(t, d, .03, "image_features", e.EncodeImage(x), torchtest.Get(t, src, "image_features"))
				torchtest.CloseIn(t, d, .03, "tokens", e.Tokens(x), torchtest.Get(t, src, "tokens"))
			})
		})
	}
}

func TestPreprocessMatchesLAVIS(t *testing.T) {
	src := torchtest.Fixture(t, "testdata/pixels.safetensors")
	picture, err := image.DecodeFile(filepath.Join("../..", src.Metadata()["photograph"]), image.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	want, err := src.Tensor("pixels")
	if err != nil {
		t.Fatal(err)
	}
	p := image.Preprocess{Size: int(want.Shape[0]), Fit: image.FitSquash, Mean: Mean, Std: Std}
	if got := p.Apply(picture).Pix; !slices.Equal(got, want.Data) {
		t.Errorf("pixels differ from those of LAVIS: got %v…, want %v…", got[:6], want.Data[:6])
	}
	normalised, err := src.Tensor("normalised")
	if err != nil {
		t.Fatal(err)
	}
	torchtest.Do(t, func() {
		x := torch.FromNamed(want, false).To(torch.Float32).Permute(2, 0, 1)
		y := torch.FromNamed(normalised, false)
		for i := range 3 {
			torchtest.CloseTo(
				t,
				"normalised",
				x.Select(0, int64(i)).AddScalar(-Mean[i]).MulScalar(1/Std[i]),
				y.Select(0, int64(i)),
				torchtest.Tolerance{Abs: 1e-5},
			)
		}
	})
}

// memory is a source of these tensors.
func memory(t *testing.T, tensors []weights.NamedTensor) weights.Source {
	t.Helper()
	src, err := weights.NewMemory(tensors, nil)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func TestRefusals(t *testing.T) {
	torchtest.Do(t, func() {
		m, err := vit.New(vit.Config{ImageSize: 16, PatchSize: 8, Width: 8, Heads: 2, Layers: 1, MLP: 16})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Free()
		saved := nn.Save(m, "visual_encoder.")
		view, err := Keys(memory(t, saved))
		if err != nil {
			t.Fatal(err)
		}
		if c, err := vit.ConfigOf(view); err != nil || c.ImageSize != 16 || c.Layers != 1 || c.MLP != 16 {
			t.Errorf("sizes: got %+v, %v", c, err)
		}
		extra := append(
			slices.Clone(saved),
			weights.NamedTensor{
				Name:  "visual_encoder.head.weight",
				DType: weights.F32,
				Shape: []int64{1},
				Data:  make([]byte, 4),
			},
		)
		if view, err = Keys(memory(t, extra)); err != nil {
			t.Fatal(err)
		}
		var bad *weights.KeyError
		if err := m.Load(view, nn.LoadOptions{}); !errors.As(err, &bad) || len(bad.Unexpected) != 1 {
			t.Errorf("load with a tensor too many: got %v", err)
		}
	})
	if _, err := Keys(memory(t, nil)); err == nil || !strings.Contains(err.Error(), "visual_encoder.cls_token") {
		t.Errorf("keys of nothing: got %v", err)
	}
	if err := (vit.Config{}).Validate(); err == nil {
		t.Error("the empty configuration is valid")
	}
}

func TestFullSizeMatchesPyTorch(t *testing.T) {
	path := filepath.Join(os.Getenv("CAPTIONER_FULL"), "blip-base.safetensors")
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no %s: scripts/fixtures/blip.py --full makes it, CAPTIONER_FULL names its folder", filepath.Base(path))
	}
	src := torchtest.Fixture(t, path)
	torchtest.Do(t, func() {
		m := load(t, src, torch.CPU)
		defer m.Free()
		if m.Config != Base() {
			t.Errorf("sizes read from the weights: got %+v, want %+v", m.Config, Base())
		}
		if got := nn.Count(m); got != 85798656 {
			t.Errorf("parameters: got %d, want 85798656", got)
		}
		x, want := torchtest.Get(t, src, "image").To(torch.Float32), torchtest.Get(t, src, "image_features")
		torch.NoGrad(func() { torchtest.Close(t, "image_features", m.EncodeImage(x), want) })
		for _, d := range []torch.DType{torch.Float32, torch.BFloat16} {
			e := m.Encoder(d)
			off := torchtest.NormDistance(e.EncodeImage(x), want)
			e.Free()
			t.Logf("encoder in %v: relative distance %.2g", d, off)
			if limit := map[torch.DType]float64{torch.Float32: 1e-4, torch.BFloat16: 0.05}[d]; !(off < limit) {
				t.Errorf("encoder in %v: got relative distance %g, want less than %g", d, off, limit)
			}
		}
	})
}
