package clip

import (
	"slices"
	"testing"

	"captioner/torch"
	"captioner/torch/nn"
	"captioner/torch/torchtest"
)

// An image's attention in the pool of a ResNet is the same bits in every batch. The sizes are RN50's: with smaller ones
// libtorch's kernel does not differ either.
func TestPoolIsTheSameBits(t *testing.T) {
	torchtest.Do(t, func() {
		torch.Seed(1)
		x := torch.Randn(torch.Float32, torch.CPU, 8, 32, 50, 64) // [B, H, T, D]
		pool := func(x *torch.Tensor) []float32 {
			return torch.Slice[float32](attendEach(x.Narrow(2, 0, 1), x, x).Contiguous())
		}
		all := pool(x)
		for _, n := range []int64{1, 2, 3, 7} {
			if got := pool(x.Narrow(0, 0, n)); !slices.Equal(got, all[:len(got)]) {
				t.Errorf("a batch of %d gives other bits than one of 8", n)
			}
		}
		each := attendEach(x.Narrow(2, 0, 1), x, x)
		torchtest.CloseTo(t, "attention", each, nn.Attend(x.Narrow(2, 0, 1), x, x, nil), torchtest.Tolerance{Abs: 1e-6})
	})
}
