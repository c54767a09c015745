package efficientnet_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"captioner/data/image"
	"captioner/models/efficientnet"
	"captioner/models/encoder"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/torch/torchtest"
	"captioner/weights"
	"captioner/weights/pickle"
)

// folder is an environment variable's value or a path from the repository's root; the test is skipped where it lacks
// name.
func folder(t *testing.T, variable, fallback, name string) string {
	t.Helper()
	dir := os.Getenv(variable)
	if dir == "" {
		dir = filepath.Join("..", "..", fallback)
	}
	if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
		t.Skipf("no %s: set %s to the folder that has it", name, variable)
	}
	return dir
}

// TestPublishedWeightsMatchPyTorch runs the published nets on the photographs that the fixtures name.
func TestPublishedWeightsMatchPyTorch(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config efficientnet.Config
	}{{"lite0", efficientnet.Lite0()}, {"lite2", efficientnet.Lite2()}} {
		t.Run(tt.name, func(t *testing.T) {
			want := torchtest.Fixture(t, "testdata/"+tt.name+".safetensors")
			file := "efficientnet-" + tt.name + ".pth" // scripts/fetch-encoder gets it
			checkpoint, err := pickle.Open(filepath.Join(folder(t, "CAPTIONER_WEIGHTS", ".encoders", file), file))
			if err != nil {
				t.Fatal(err)
			}
			defer checkpoint.Close()
			pixels := photographs(t, want, int(tt.config.Resolution))
			torchtest.Do(t, func() { comparePublished(t, tt.config, checkpoint, want, pixels) })
		})
	}
}

// photographs gives the fixture's photographs as packed RGB, squashed to size x size.
func photographs(t *testing.T, src weights.Source, size int) []uint8 {
	t.Helper()
	names := strings.Fields(src.Metadata()["photos"])
	dir := filepath.Join(
		folder(t, "CAPTIONER_SHARED", "../shared/data", "coco-mini/val2017/"+names[0]),
		"coco-mini",
		"val2017",
	)
	var pixels []uint8
	for _, name := range names {
		img, err := image.DecodeFile(filepath.Join(dir, name), image.DefaultOptions())
		if err != nil {
			t.Fatal(err)
		}
		pixels = append(pixels, image.Preprocess{Size: size, Fit: image.FitSquash}.Apply(img).Pix...)
	}
	return pixels
}

func comparePublished(t *testing.T, c efficientnet.Config, checkpoint, want weights.Source, pixels []uint8) {
	exact := true // another JPEG decoder gives other pixels
	n := want.Metadata()["photos"]
	images, side := int64(len(strings.Fields(n))), c.Resolution
	sums := torch.FromSlice(pixels, images, side*side, 3).To(torch.Int64).SumDim(1, false) // [N, 3]
	reference := torch.Slice[int64](torchtest.Get(t, want, "pixels.sum"))
	if got, want := fmt.Sprint(torch.Slice[int64](sums)), fmt.Sprint(reference); got != want {
		exact = false
		t.Logf("pixels differ from Pillow's (sums %s, want %s): compared loosely", got, want)
	}
	m, err := efficientnet.New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Free()
	if err := m.Load(checkpoint, nn.LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	limit := map[torch.DType]float64{torch.Float32: 1e-5, torch.BFloat16: 0.05}
	if !exact {
		limit[torch.Float32] = 0.02
	}
	mean, std := [3]float64{
		efficientnet.Mean,
		efficientnet.Mean,
		efficientnet.Mean,
	}, [3]float64{
		efficientnet.Std,
		efficientnet.Std,
		efficientnet.Std,
	}
	x := encoder.Pixels(pixels, int(images), image.Preprocess{Size: int(side), Mean: mean, Std: std}, torch.CPU)
	check := func(name string, got *torch.Tensor, d torch.DType) {
		t.Helper()
		ref := torchtest.Get(t, want, name)
		off := math.Sqrt(got.Sub(ref).Mul(got.Sub(ref)).Sum().Float() / ref.Mul(ref).Sum().Float())
		t.Logf("%s in %v: relative distance %.2g", name, d, off)
		if !(off <= limit[d]) {
			t.Errorf("%s in %v: got relative distance %g, want at most %g", name, d, off, limit[d])
		}
	}
	torch.NoGrad(func() { check("logits", m.Classify(x), torch.Float32) })
	w := c.GridSide(side)
	for _, d := range []torch.DType{torch.Float32, torch.BFloat16} {
		e := m.Encoder(d)
		grid := e.Grid(x) // [N, h w, C]
		e.Free()
		check("grid.row", grid.Narrow(1, 3*w, w), d)
		check("grid.mean", grid.MeanDim(1, false), d)
		centred := grid.Sub(grid.MeanDim(1, true))
		check("grid.std", centred.Mul(centred).SumDim(1, false).MulScalar(1/float64(w*w-1)).Sqrt(), d)
	}
}
