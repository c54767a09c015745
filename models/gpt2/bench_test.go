package gpt2

import (
	"context"
	"flag"
	"fmt"
	"testing"

	"captioner/torch"
	"captioner/torch/nn"
)

var threads = flag.Int("threads", 2, "threads of libtorch in benchmarks")

// sizes are the demo captioner and distilgpt2.
var sizes = []struct {
	name   string
	config Config
	memory int64 // positions
}{
	{"demo", Config{VocabSize: 3200, Positions: 32, Width: 256, Layers: 3, Heads: 4, Activation: "gelu_new", Epsilon: 1e-5, InitRange: 0.02,
		CrossAttention: true}, 81},
	{"distilgpt2", func() Config { c := DistilGPT2(); c.CrossAttention = true; return c }(), 50},
}

// BenchmarkDecode measures texts of 12 tokens for 32 images with 3 rows each, in which rows of an image change places at every step.
func BenchmarkDecode(b *testing.B) {
	const images, width, steps, k = 32, 3, 12, 6
	var parents []int32
	for i := range int32(images) {
		parents = append(parents, i*width, i*width, i*width+2)
	}
	for _, size := range sizes {
		for _, dtype := range []torch.DType{torch.Float32, torch.BFloat16} {
			b.Run(fmt.Sprintf("%s/%v", size.name, dtype), func(b *testing.B) {
				err := torch.Do(context.Background(), func() error {
					torch.SetThreads(*threads)
					m, err := New(size.config)
					if err != nil {
						return err
					}
					m.Init()
					d := m.Decoder(dtype)
					defer d.Free()
					m.Free()
					memory := torch.Randn(torch.Float32, torch.CPU, images, size.memory, size.config.Width)
					for b.Loop() {
						s, err := d.Start(memory, images, width, steps)
						if err != nil {
							return err
						}
						first := make([]int32, images*width)
						for i := range first {
							first[i] = int32(i / width)
						}
						_, _, err = s.Step(nil, make([]int32, images), k, nil)
						for step := 1; step < steps && err == nil; step++ {
							p := parents
							if step == 1 {
								p = first
							}
							_, _, err = s.Step(p, make([]int32, images*width), k, nil)
						}
						s.Free()
						if err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(images*float64(b.N)/b.Elapsed().Seconds(), "images/s")
			})
		}
	}
}

// BenchmarkTrain measures forward, loss and backward on 25 images with 5 captions of 6 to 16 tokens each.
func BenchmarkTrain(b *testing.B) {
	const images, captions = 25, 5
	var rows [][]int32
	for r := range images * captions {
		rows = append(rows, make([]int32, 7+r%11))
	}
	size := sizes[0]
	for _, dtype := range []torch.DType{torch.Float32, torch.BFloat16} {
		b.Run(dtype.String(), func(b *testing.B) {
			err := torch.Do(context.Background(), func() error {
				torch.SetThreads(*threads)
				c := size.config
				c.ResidualDrop, c.EmbeddingDrop = 0.2, 0.1
				m, err := New(c)
				if err != nil {
					return err
				}
				defer m.Free()
				m.Init()
				nn.Trainable(m)
				memory := torch.Randn(torch.Float32, torch.CPU, images, size.memory, c.Width)
				for b.Loop() {
					torch.Scoped(func() {
						var batch *Batch
						if batch, err = Pack(rows, torch.CPU); err != nil {
							return
						}
						torch.Autocast(torch.CPU, dtype, func() { batch.Loss(m.Forward(batch, memory, true), 0.1).Backward() })
						for _, p := range nn.State(m) {
							p.Tensor.ClearGrad()
						}
					})
					if err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(len(rows))*float64(b.N)/b.Elapsed().Seconds(), "captions/s")
		})
	}
}
