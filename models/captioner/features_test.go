package captioner

import (
	"context"
	"math"
	"strings"
	"testing"

	"captioner/data/image"
	"captioner/torch"
)

// Captions of features are those of the images, and features do not depend on the batch.
func TestFeaturesAreWhatCaptionsComeFrom(t *testing.T) {
	c, err := Open(modelFile(t), Options{Device: "cpu", Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	imgs := pictures(3)
	for i, p := range imgs {
		imgs[i] = c.Prepare(p)
	}
	ctx, o := context.Background(), c.Defaults()
	want, err := c.Caption(ctx, imgs, o)
	if err != nil {
		t.Fatal(err)
	}
	features, err := c.Features(ctx, imgs)
	if err != nil {
		t.Fatal(err)
	}
	places, width := c.FeatureShape()
	got, err := c.CaptionFeatures(ctx, features, o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range imgs {
		if len(features[i]) != places*width {
			t.Fatalf("picture %d: got %d numbers, want %d places of %d", i, len(features[i]), places, width)
		}
		if got[i].Text != want[i].Text || math.Abs(got[i].LogProb-want[i].LogProb) > 1e-4 {
			t.Errorf(
				"picture %d: got %q %.6f, want %q %.6f",
				i,
				got[i].Text,
				got[i].LogProb,
				want[i].Text,
				want[i].LogProb,
			)
		}
		alone, err := c.Features(ctx, []*image.RGB{imgs[i]})
		if err != nil {
			t.Fatal(err)
		}
		for k, x := range alone[0] {
			if math.Abs(float64(x-features[i][k])) > 1e-4 {
				t.Fatalf("picture %d, number %d: got %g alone, want %g", i, k, x, features[i][k])
			}
		}
	}
	live := torch.Live()
	if _, err := c.Features(ctx, imgs); err != nil || torch.Live() != live {
		t.Errorf("live tensors: got %d (%v), want %d", torch.Live(), err, live)
	}
}

func TestFeaturesRefuse(t *testing.T) {
	c, err := Open(modelFile(t), Options{Device: "cpu", Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	places, width := c.FeatureShape()
	bad := make([]float32, places*width)
	bad[5] = float32(math.NaN())
	for name, f := range map[string][]float32{"numbers, want": make([]float32, width+1), "finite": bad} {
		if _, err := c.CaptionFeatures(context.Background(), [][]float32{f}, c.Defaults()); err == nil ||
			!strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want an error with %q", err, name)
		}
	}
	if _, err := c.Features(context.Background(), pictures(1)); err == nil {
		t.Error("a picture that was not prepared: no error")
	}
	if out, err := c.Features(context.Background(), nil); err != nil || len(out) != 0 {
		t.Errorf("no pictures: got %v, %v", out, err)
	}
}
