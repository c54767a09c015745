package gpt2

import (
	"context"
	"flag"
	"fmt"
	"testing"
	"time"

	"captioner/models/batch"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/torch/torchtest"
)

var threads = flag.Int("threads", 2, "threads of libtorch in benchmarks")

// sizes are the demo captioner and distilgpt2.
var sizes = []struct {
	name   string
	config Config
	memory int64 // positions
}{
	{
		"demo",
		Config{
			VocabSize:      3200,
			Positions:      32,
			Width:          256,
			Layers:         3,
			Heads:          4,
			Activation:     "gelu_new",
			Epsilon:        1e-5,
			InitRange:      0.02,
			CrossAttention: true,
		},
		81,
	},
	{"distilgpt2", func() Config { c := DistilGPT2(); c.CrossAttention = true; return c }(), 50},
}

// BenchmarkStep measures a step of distilgpt2 with random weights and one position of memory, by type and rows: four
// rows an image, which change places at every step, or one. It is the mean over the second to the twelfth step, with
// the choice of the next tokens. With few rows a step is as long as the reading of its weights: their share of the
// memory's measured bandwidth is stated too.
func BenchmarkStep(b *testing.B) {
	const steps = 12
	c := sizes[1].config
	weights := 12*c.Width*c.Width*int64(
		c.Layers,
	) + c.Width*c.VocabSize // that a row meets; the cross-attention of one position costs none
	for _, dtype := range []torch.DType{torch.Float32, torch.BFloat16, torch.Int8} {
		for _, rows := range []int{1, 4, 64, 256} {
			b.Run(fmt.Sprintf("%v/rows=%d", dtype, rows), func(b *testing.B) {
				var ceiling, bandwidth float64
				var spent, cpu time.Duration
				width := min(rows, 4)
				err := torch.Do(context.Background(), func() error {
					torch.SetThreads(*threads)
					ceiling, bandwidth = torchtest.Ceiling(dtype), torchtest.Bandwidth()
					m, err := New(c)
					if err != nil {
						return err
					}
					m.Init()
					d := m.Decoder(dtype)
					defer d.Free()
					m.Free()
					memory := torch.Randn(torch.Float32, torch.CPU, int64(rows/width), 1, c.Width)
					for b.Loop() {
						took, used, err := write(d, memory, rows/width, width, steps)
						if err != nil {
							return err
						}
						spent, cpu = spent+took, cpu+used
					}
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
				step := spent.Seconds() / float64(b.N*(steps-1))
				b.ReportMetric(1e3*step, "ms/step")
				b.ReportMetric(1e3*cpu.Seconds()/float64(b.N*(steps-1)), "cpu-ms/step")
				b.ReportMetric(2*float64(weights*int64(rows))/step/1e9, "GFLOP/s")
				b.ReportMetric(200*float64(weights*int64(rows))/step/1e9/ceiling, "%ceiling")
				read := float64(weights*int64(dtype.Size())) / step / 1e9
				b.ReportMetric(read, "weights-GB/s")
				b.ReportMetric(bandwidth, "memory-GB/s")
				b.ReportMetric(100*read/bandwidth, "%bandwidth")
			})
		}
	}
}

// write makes texts whose rows change places, and gives the time of all steps but the first, by the clock and of the
// processor.
func write(d *Decoder, memory *torch.Tensor, images, width, steps int) (took, used time.Duration, err error) {
	s, err := d.Start(memory, images, width, steps)
	if err != nil {
		return 0, 0, err
	}
	defer s.Free()
	first, next := make([]int32, images*width), make([]int32, images*width)
	for i := range first {
		first[i] = int32(i / width)
		next[i] = int32(i - i%width + max(0, i%width-1)) // 0 0 1 2
	}
	if _, _, err = s.Step(nil, make([]int32, images), width+1, nil); err != nil {
		return 0, 0, err
	}
	start, cpu, parents := time.Now(), torchtest.CPU(), first
	for range steps - 1 {
		if _, _, err = s.Step(parents, make([]int32, images*width), width+1, nil); err != nil {
			return 0, 0, err
		}
		parents = next
	}
	return time.Since(start), torchtest.CPU() - cpu, nil
}

// BenchmarkDecode measures texts of 12 tokens for 32 images with 3 rows each, in which rows of an image change places
// at every step.
func BenchmarkDecode(b *testing.B) {
	const images, width, steps, k = 32, 3, 12, 6
	var parents []int32
	for i := range int32(images) {
		parents = append(parents, i*width, i*width, i*width+2)
	}
	for _, size := range sizes {
		for _, dtype := range []torch.DType{torch.Float32, torch.BFloat16, torch.Int8} {
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
						var texts *batch.Texts
						if texts, err = batch.Pack(rows, torch.CPU); err != nil {
							return
						}
						torch.Autocast(
							torch.CPU,
							dtype,
							func() { texts.Loss(m.Forward(texts, memory, true), 0.1).Backward() },
						)
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
