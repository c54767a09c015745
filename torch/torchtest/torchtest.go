// Package torchtest helps to test code over package torch: running on every device, catching leaks, loading reference
// values made by PyTorch, and comparing with the one table of tolerances. It is for tests only.
package torchtest

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"

	"captioner/torch"
	"captioner/weights"
	"captioner/weights/safetensors"
)

// OneThread is a TestMain whose tests compute on one thread: small nets gain nothing from more, and lose much where
// other processes want the cores. With the build tag "standin", the GPUs are the stand-in's.
func OneThread(m *testing.M) {
	UseStandIn()
	if err := torch.Do(context.Background(), func() error { torch.SetThreads(1); return nil }); err != nil {
		panic(err)
	}
	m.Run() // whose status is the process's when TestMain returns
}

// Tolerance is how far a value may be from the reference: |got-want| <= Abs + Rel*max|want|.
type Tolerance struct{ Rel, Abs float64 }

// Tolerances is the one table, by type. Rel is a share of the reference's largest magnitude.
var Tolerances = map[torch.DType]Tolerance{
	torch.Float64:  {1e-10, 1e-12},
	torch.Float32:  {1e-4, 1e-6},
	torch.BFloat16: {3e-2, 1e-3},
	torch.Float16:  {4e-3, 1e-4},
}

// Do runs f inside torch.Do and fails the test on an error, or where f leaves tensors behind.
func Do(t testing.TB, f func()) {
	t.Helper()
	before := torch.Live()
	if err := torch.Do(context.Background(), func() error { f(); return nil }); err != nil {
		t.Fatal(err)
	}
	if after := torch.Live(); after != before {
		t.Fatalf("live tensors: got %d after, %d before", after, before)
	}
}

// EachDevice runs f as a subtest inside torch.Do on the CPU, and on the last GPU where there is one: what forgets the
// number of its device is found where there are two. With the build tag "standin", the GPUs are the stand-in's.
func EachDevice(t *testing.T, f func(t *testing.T, dev torch.Device)) {
	UseStandIn()
	n, err := torch.CUDADevices() // before anything else that may ask libtorch about CUDA
	t.Run("cpu", func(t *testing.T) { Do(t, func() { f(t, torch.CPU) }) })
	t.Run("cuda", func(t *testing.T) {
		if err != nil {
			t.Skip("no GPU: ", err)
		}
		Do(t, func() { f(t, torch.CUDA(n-1)) })
	})
}

// Best is the device that "auto" leads to, for tests that run on one device: a GPU where there is one.
func Best(t testing.TB) torch.Device {
	t.Helper()
	dev, err := torch.ParseDevice("auto")
	if err != nil {
		t.Fatal(err)
	}
	return dev
}

// Fixture opens reference values. The file stays open until the test ends.
func Fixture(t testing.TB, path string) weights.Source {
	t.Helper()
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatalf("%v; hint: make fixtures", err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// Get copies the stored tensor name; call it inside Do.
func Get(t testing.TB, src weights.Source, name string) *torch.Tensor {
	t.Helper()
	n, err := src.Tensor(name)
	if err != nil {
		t.Fatal(err)
	}
	return torch.FromNamed(n, false)
}

// Close compares got with the reference by the table, under got's type, and reports the worst element and the first
// pairs.
func Close(t testing.TB, name string, got, want *torch.Tensor) {
	t.Helper()
	CloseTo(t, name, got, want, Tolerances[got.DType()])
}

// CloseTo is Close with a tolerance of the caller's.
func CloseTo(t testing.TB, name string, got, want *torch.Tensor, tol Tolerance) {
	t.Helper()
	if g, w := fmt.Sprint(got.Shape()), fmt.Sprint(want.Shape()); g != w {
		t.Errorf("%s: got shape %s, want %s", name, g, w)
		return
	}
	var g, w []float64
	torch.Scoped(func() {
		g, w = torch.Slice[float64](got.Detach().To(torch.Float64)), torch.Slice[float64](want.Detach().To(torch.Float64))
	})
	worst, at, scale := -1.0, 0, 0.0
	for i := range g {
		d := math.Abs(g[i] - w[i])
		if math.IsNaN(d) {
			d = math.Inf(1)
		}
		if d > worst {
			worst, at = d, i
		}
		scale = max(scale, math.Abs(w[i]))
	}
	if worst <= tol.Abs+tol.Rel*scale {
		return
	}
	var pairs strings.Builder
	for i := range min(5, len(g)) {
		fmt.Fprintf(&pairs, " %.6g/%.6g", g[i], w[i])
	}
	t.Errorf(
		"%s %v: max difference %.3g (relative %.3g) at %d: got %.8g, want %.8g; allowed %.3g; first pairs%s",
		name,
		got.Shape(),
		worst,
		worst/scale,
		at,
		g[at],
		w[at],
		tol.Abs+tol.Rel*scale,
		pairs.String(),
	)
}

// CloseIn is Close for what is computed in d. In float32 the table holds; in a narrower type the whole counts, as
// NormDistance below limit: behind many layers of few channels single elements are far off.
func CloseIn(t testing.TB, d torch.DType, limit float64, name string, got, want *torch.Tensor) {
	t.Helper()
	if d == torch.Float32 {
		Close(t, name, got, want)
	} else if off := NormDistance(got, want); !(off < limit) {
		t.Errorf("%s: relative distance %g, want less than %g", name, off, limit)
	}
}

// NormDistance is |got-want|/|want| in the 2-norm. Call it inside Do.
func NormDistance(got, want *torch.Tensor) float64 {
	return Norm(got.ToDevice(want.Device()).Sub(want)) / Norm(want)
}

// Norm is the 2-norm of x.
func Norm(x *torch.Tensor) float64 { return math.Sqrt(x.Mul(x).Sum().Float()) }

// Distance is the largest difference between got and want, as a share of want's largest magnitude. Both are float32.
func Distance(got, want *torch.Tensor) float64 {
	g, w := torch.Slice[float32](got), torch.Slice[float32](want)
	var off, top float64
	for i := range w {
		off = max(off, math.Abs(float64(g[i])-float64(w[i])))
		top = max(top, math.Abs(float64(w[i])))
	}
	return off / top
}
