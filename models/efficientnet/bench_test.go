package efficientnet

import (
	"context"
	"flag"
	"fmt"
	"testing"

	"captioner/torch"
)

var threads = flag.Int("threads", 2, "threads of libtorch in benchmarks")

// BenchmarkGrid measures Lite2 on images of 260x260, weights random, by the form of the net, the type and the batch.
func BenchmarkGrid(b *testing.B) {
	for _, form := range []struct {
		name  string
		dtype torch.DType
	}{{"model", torch.Float32}, {"encoder", torch.Float32}, {"encoder", torch.BFloat16}} {
		for _, batch := range []int64{1, 8, 32} {
			b.Run(fmt.Sprintf("%s/%v/batch=%d", form.name, form.dtype, batch), func(b *testing.B) {
				err := torch.Do(context.Background(), func() error {
					torch.SetThreads(*threads)
					m, err := New(Lite2().WithoutHead())
					if err != nil {
						return err
					}
					defer m.Free()
					randomise(m)
					run := m.Grid
					if form.name == "encoder" {
						e := m.Encoder(form.dtype)
						defer e.Free()
						run = e.Grid
					}
					x := torch.Randn(torch.Float32, torch.CPU, batch, 3, 260, 260)
					torch.NoGrad(func() {
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
