package clip

import (
	"context"
	"flag"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"captioner/torch"
	"captioner/torch/nn"
	"captioner/torch/torchtest"
)

var threads = flag.Int("threads", 2, "threads of libtorch in benchmarks")

// randomise gives a model weights that keep the size of its maps.
func randomise(m *Model) {
	torch.Seed(1)
	for _, p := range nn.State(m) {
		switch {
		case strings.HasSuffix(p.Name, "running_mean"),
			strings.HasSuffix(p.Name, "bias"),
			strings.HasSuffix(p.Name, "embedding"):
			nn.Normal(p.Tensor, 0.1)
		case p.Tensor.Rank() <= 1:
			nn.Constant(p.Tensor, 1)
		default:
			fan := float64(p.Tensor.Numel() / p.Tensor.Dim(0))
			nn.Normal(p.Tensor, math.Sqrt(1/fan))
		}
	}
}

// imageFLOPs counts the products of the image tower: two operations a weight and token, and those of the attention.
func imageFLOPs(c Config) float64 {
	v := c.Vision
	tokens := v.ImageSize/v.PatchSize*(v.ImageSize/v.PatchSize) + 1
	block := 4*v.Width*v.Width + 2*v.Width*v.MLP + 2*tokens*v.Width
	return 2 * float64(tokens*int64(v.Layers)*block+(tokens-1)*3*v.PatchSize*v.PatchSize*v.Width)
}

// BenchmarkEncodeImage measures ViT-B/32 with random weights, by the form of the net, the type and the batch. The
// ceiling is torchtest's.
func BenchmarkEncodeImage(b *testing.B) {
	for _, form := range []struct {
		name  string
		dtype torch.DType
	}{{"model", torch.Float32}, {"encoder", torch.Float32}, {"encoder", torch.BFloat16}, {"encoder", torch.Int8}} {
		for _, batch := range []int64{1, 16, 64} {
			b.Run(fmt.Sprintf("%s/%v/batch=%d", form.name, form.dtype, batch), func(b *testing.B) {
				var ceiling float64
				var cpu time.Duration
				c := ViTB32().WithoutText()
				err := torch.Do(context.Background(), func() error {
					torch.SetThreads(*threads)
					ceiling = torchtest.Ceiling(form.dtype)
					m, err := New(c)
					if err != nil {
						return err
					}
					defer m.Free()
					randomise(m)
					run := m.EncodeImage
					if form.name == "encoder" {
						e := m.Encoder(form.dtype)
						defer e.Free()
						run = e.EncodeImage
					}
					x := torch.Randn(torch.Float32, torch.CPU, batch, 3, c.Vision.ImageSize, c.Vision.ImageSize)
					torch.NoGrad(func() {
						torch.Scoped(func() { run(x) })
						start := torchtest.CPU()
						for b.Loop() {
							torch.Scoped(func() { run(x) })
						}
						cpu = torchtest.CPU() - start
					})
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
				rate := float64(batch) * float64(b.N) / b.Elapsed().Seconds()
				b.ReportMetric(rate, "images/s")
				b.ReportMetric(1e3*cpu.Seconds()/float64(batch*int64(b.N)), "cpu-ms/image")
				b.ReportMetric(rate*imageFLOPs(c)/1e9, "GFLOP/s")
				b.ReportMetric(100*rate*imageFLOPs(c)/1e9/ceiling, "%ceiling")
			})
		}
	}
}
