package clip

import (
	"context"
	"flag"
	"fmt"
	"math"
	"strings"
	"testing"

	"captioner/torch"
	"captioner/torch/nn"
)

var threads = flag.Int("threads", 2, "threads of libtorch in benchmarks")

// randomise gives a model weights that keep the size of its maps.
func randomise(m *Model) {
	torch.Seed(1)
	for _, p := range nn.State(m) {
		switch {
		case strings.HasSuffix(p.Name, "running_mean"), strings.HasSuffix(p.Name, "bias"), strings.HasSuffix(p.Name, "embedding"):
			nn.Normal(p.Tensor, 0.1)
		case p.Tensor.Rank() <= 1:
			nn.Constant(p.Tensor, 1)
		default:
			fan := float64(p.Tensor.Numel() / p.Tensor.Dim(0))
			nn.Normal(p.Tensor, math.Sqrt(1/fan))
		}
	}
}

// BenchmarkEncodeImage measures ViT-B/32 with random weights, by the form of the net, the type and the batch.
func BenchmarkEncodeImage(b *testing.B) {
	for _, form := range []struct {
		name  string
		dtype torch.DType
	}{{"model", torch.Float32}, {"encoder", torch.Float32}, {"encoder", torch.BFloat16}} {
		for _, batch := range []int64{1, 16, 64} {
			b.Run(fmt.Sprintf("%s/%v/batch=%d", form.name, form.dtype, batch), func(b *testing.B) {
				err := torch.Do(context.Background(), func() error {
					torch.SetThreads(*threads)
					c := ViTB32().WithoutText()
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
						for b.Loop() {
							torch.Scoped(func() { run(x) })
						}
					})
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(batch)*float64(b.N)/b.Elapsed().Seconds(), "images/s")
			})
		}
	}
}
