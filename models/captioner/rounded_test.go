package captioner

import (
	"context"
	"path/filepath"
	"slices"
	"testing"

	"captioner/data/image"
	"captioner/models/clip"
	"captioner/weights"
	"captioner/weights/formats"
	"captioner/weights/safetensors"
)

// A CLIP that was saved in float32 gives a captioner of clip-text-decoder the features that it gives in float16, as
// clip.load rounds it; a captioner of another kind looks at it as it is.
func TestCLIPIsRoundedAsInPython(t *testing.T) {
	halves := filepath.Join(trainedDir, "clip.pt")
	src, err := formats.Open(halves)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	named, err := clip.Keys(src)
	if err != nil {
		t.Fatal(err)
	}
	all, err := weights.All(named)
	if err != nil {
		t.Fatal(err)
	}
	all = slices.DeleteFunc(all, func(x weights.NamedTensor) bool { return !x.DType.Float() })
	for i, x := range all {
		values, err := x.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		if x.DType == weights.F16 { // a step of float16 is 1e-3
			for k := range values {
				values[k] *= 1 + 1e-5
			}
		}
		if all[i], err = weights.FromFloat32s(x.Name, weights.F32, x.Shape, values); err != nil {
			t.Fatal(err)
		}
	}
	wide := filepath.Join(t.TempDir(), "clip.safetensors")
	if err := safetensors.WriteFile(wide, all, nil); err != nil {
		t.Fatal(err)
	}
	features := func(model, encoder string) []float32 {
		c, err := Open(model, Options{Device: "cpu", Threads: 1, Encoder: encoder})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		got, err := c.Features(context.Background(), []*image.RGB{c.Prepare(pictures(1)[0])})
		if err != nil {
			t.Fatal(err)
		}
		return got[0]
	}
	python := filepath.Join(trainedDir, "model_1.4.pt")
	if !slices.Equal(features(python, wide), features(python, halves)) {
		t.Error("clip-text-decoder's captioner: got other features in float32 than in float16, want the same")
	}
	ours := captionerOn(t, halves, "", false)
	if slices.Equal(features(ours, wide), features(ours, halves)) {
		t.Error("another captioner: got the same features in float32 as in float16, want those of the file")
	}
}
