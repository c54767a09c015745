package torch_test

import (
	"slices"
	"testing"

	"captioner/torch"
)

// TestSharedWork makes the same products, rankings and attention on numbers of threads that change at every step, more
// than this machine has processors among them: the results are the same bits, and none is missing.
func TestSharedWork(t *testing.T) {
	if !torch.HasPanels(torch.Float32) {
		t.Skip("no kernels without AVX2")
	}
	do(t, func() {
		before := torch.Threads()
		defer torch.SetThreads(before)
		torch.Seed(7)
		randn := func(shape ...int64) *torch.Tensor { return torch.Randn(torch.Float32, torch.CPU, shape...) }
		x, qkv, bias := randn(150, 96), randn(3, 40, 3*4*16), randn(1, 4, 40, 40)
		large, words := torch.NewPanels(randn(700, 96), torch.Int8), torch.NewPanels(randn(5000, 96), torch.BFloat16)
		defer large.Free()
		defer words.Free()
		work := func() (out []float32) {
			torch.Scoped(func() {
				ids, logProbs := words.TopKLogProbs(x, torch.Fused{}, 5, nil)
				for i, id := range ids {
					out = append(out, float32(id), logProbs[i])
				}
				out = append(out, torch.Slice[float32](large.Product(x, torch.Fused{Act: torch.GELUTanh}))...)
				out = append(out, torch.Slice[float32](torch.HeadAttention(qkv, 4, bias))...)
			})
			return out
		}
		torch.SetThreads(1)
		want := work()
		for i := range 200 {
			threads := []int{2, 3, 1, 8, 2, 5}[i%6]
			torch.SetThreads(threads)
			if got := work(); !slices.Equal(got, want) {
				t.Fatalf("run %d, %d threads: other numbers than with one thread", i, threads)
			}
		}
	})
}
