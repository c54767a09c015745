package clip

import (
	"os"
	"path/filepath"
	"testing"

	"captioner/torch"
	"captioner/torch/nn"
	"captioner/torch/torchtest"
)

// published are OpenAI's nine models and their parameters as PyTorch counts them.
var published = []struct {
	name       string
	config     Config
	parameters int64
}{
	{
		"RN50",
		RN50(),
		102007137,
	}, {"RN101", RN101(), 119688033}, {"RN50x4", RN50x4(), 178300601}, {"RN50x16", RN50x16(), 290979217},
	{"RN50x64", RN50x64(), 623258305}, {"ViT-B-32", ViTB32(), 151277313}, {"ViT-B-16", ViTB16(), 149620737},
	{"ViT-L-14", ViTL14(), 427616513}, {"ViT-L-14-336px", ViTL14x336(), 427944193},
}

func TestPublishedSizes(t *testing.T) {
	for _, tt := range published {
		t.Run(tt.name, func(t *testing.T) {
			torchtest.Do(t, func() {
				m, err := New(tt.config)
				if err != nil {
					t.Fatal(err)
				}
				defer m.Free()
				if got := nn.Count(m); got != tt.parameters {
					t.Errorf("parameters: got %d, want %d", got, tt.parameters)
				}
			})
		})
	}
}

// TestFullSizeMatchesPyTorch compares whole models with random weights with PyTorch.
func TestFullSizeMatchesPyTorch(t *testing.T) {
	for _, tt := range published {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(os.Getenv("CAPTIONER_FULL"), tt.name+".safetensors")
			if _, err := os.Stat(path); err != nil {
				t.Skipf(
					"no %s: scripts/fixtures/clip.py --full makes it, CAPTIONER_FULL names its folder",
					filepath.Base(path),
				)
			}
			src := torchtest.Fixture(t, path)
			torchtest.Do(t, func() {
				m := load(t, src, torch.CPU)
				defer m.Free()
				if got, want := m.Config, tt.config; got.Vision.ImageSize != want.Vision.ImageSize ||
					got.Vision.Heads != want.Vision.Heads ||
					*got.Text != *want.Text ||
					got.EmbedDim != want.EmbedDim {
					t.Errorf("sizes read from the weights: got %+v %+v, want %+v %+v", got, *got.Text, want, *want.Text)
				}
				x := torchtest.Get(t, src, "image").To(torch.Float32)
				want := torchtest.Get(t, src, "image_features")
				torch.NoGrad(func() {
					images := m.EncodeImage(x)
					torchtest.Close(t, "image_features", images, want)
					texts, err := m.EncodeText(texts(t, src))
					if err != nil {
						t.Fatal(err)
					}
					torchtest.Close(t, "text_features", texts, torchtest.Get(t, src, "text_features"))
					torchtest.Close(t, "logits", m.Logits(images, texts), torchtest.Get(t, src, "logits_per_image"))
					t.Logf("model: relative distance of images %.2g, of texts %.2g", torchtest.NormDistance(images, want),
						torchtest.NormDistance(texts, torchtest.Get(t, src, "text_features")))
				})
				for _, d := range []torch.DType{torch.Float32, torch.BFloat16} {
					e := m.Encoder(d)
					got := e.EncodeImage(x)
					e.Free()
					cosine := Unit(got).Mul(Unit(want)).SumDim(-1, false)
					t.Logf(
						"encoder in %v: relative distance %.2g, cosines %v",
						d,
						torchtest.NormDistance(got, want),
						torch.Slice[float32](cosine),
					)
					torchtest.CloseIn(t, d, .05, "encoder in "+d.String(), got, want)
				}
			})
		})
	}
}
