package average

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"captioner/models/captioner/demo"
	"captioner/models/checkpoint"
	"captioner/weights"
	"captioner/weights/safetensors"
)

// demoPath writes the built-in model as a file.
func demoPath(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "demo.safetensors")
	if err := os.WriteFile(path, demo.Model, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// shifted writes a copy of a model file with delta added to every weight.
func shifted(t *testing.T, path string, delta float32) string {
	t.Helper()
	src, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	var out []weights.NamedTensor
	for _, name := range src.Names() {
		n, err := src.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		v, err := n.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		for i := range v {
			v[i] += delta
		}
		if n, err = weights.FromFloat32s(name, n.DType, n.Shape, v); err != nil {
			t.Fatal(err)
		}
		out = append(out, n)
	}
	other := filepath.Join(t.TempDir(), "shifted.safetensors")
	if err := safetensors.WriteFile(other, out, src.Metadata()); err != nil {
		t.Fatal(err)
	}
	return other
}

func TestAverage(t *testing.T) {
	a := demoPath(t)
	b, out := shifted(t, a, 1), filepath.Join(t.TempDir(), "mean.safetensors")
	if err := Models([]string{a, b}, out, "a command"); err != nil {
		t.Fatal(err)
	}
	f, err := checkpoint.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Card.Command != "a command" || f.Card.Metrics != nil {
		t.Errorf("card: got command %q and metrics %v", f.Card.Command, f.Card.Metrics)
	}
	first, err := checkpoint.Open(a)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	for _, name := range f.Source().Names() {
		n, err := f.Source().Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := n.Float32s()
		n, err = first.Source().Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		was, _ := n.Float32s()
		for i, v := range got {
			if off := math.Abs(float64(v - was[i] - .5)); !(off < 3e-3) {
				t.Fatalf("%s[%d]: got %g, want %g", name, i, v, was[i]+.5)
			}
		}
	}
	if err := Models([]string{a}, out, ""); err == nil || !strings.Contains(err.Error(), "two or more") {
		t.Errorf("one file: got %v", err)
	}
	if err := Models([]string{a, filepath.Join(t.TempDir(), "none")}, out, ""); err == nil {
		t.Error("a missing file: got no error")
	}
}

// The mean of equal weights is these weights, to the bit: thirds would round.
func TestAverageOfEqualWeights(t *testing.T) {
	a, out := demoPath(t), filepath.Join(t.TempDir(), "mean.safetensors")
	if err := Models([]string{a, a, a}, out, ""); err != nil {
		t.Fatal(err)
	}
	want, err := safetensors.Open(a)
	if err != nil {
		t.Fatal(err)
	}
	defer want.Close()
	got, err := safetensors.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	for _, name := range want.Names() {
		x, err := want.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		y, err := got.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(x.Data, y.Data) {
			t.Errorf("%s has changed", name)
		}
	}
}
