//go:build standin

package gpt2

import (
	"fmt"
	"testing"

	"captioner/models/kvcache"
	"captioner/torch"
	"captioner/torch/standin"
	"captioner/torch/torchtest"
)

// texts makes two texts an image of a batch, whose rows change places and of which one image ends, and gives what each
// step chose.
func texts(t *testing.T, d *Decoder, memory *torch.Tensor) (ids [][]int32, probs []float32) {
	t.Helper()
	s, err := d.Start(memory, 2, 2, 6)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Free()
	fed := []int32{0, 0}
	for _, parents := range [][]int32{nil, {0, 0, 1, 1}, {1, 0, 3, 3}, {1, 1, 2, 3}, {2, 3}, {1, 0}} {
		if parents != nil {
			fed = fed[:0]
			for r := range parents {
				fed = append(fed, ids[len(ids)-1][r%2])
			}
		}
		got, p, err := s.Step(parents, fed, 3, nil)
		if err != nil {
			t.Fatal(err)
		}
		ids, probs = append(ids, got), append(probs, p...)
	}
	return ids, probs
}

// With graphs the steps choose what they choose without, batch after batch, over every kind of memory. Once all are
// recorded, each step waits once.
func TestGraphsChooseTheSame(t *testing.T) {
	standin.Install()
	src := torchtest.Fixture(t, fixture)
	for _, positions := range []int64{0, 1, 3} {
		t.Run(fmt.Sprintf("%d positions", positions), func(t *testing.T) {
			torchtest.Do(t, func() {
				defer kvcache.SetGraphs(kvcache.GraphsOff, nil)
				m := load(t, src, torch.CUDA(1), false)
				d, plain := m.Decoder(torch.Float32), m.Decoder(torch.Float32)
				defer d.Free()
				defer plain.Free()
				m.Free()
				torch.Seed(5)
				for batch := range 5 {
					var memory *torch.Tensor
					if positions > 0 {
						memory = torch.Randn(torch.Float32, torch.CPU, 2, positions, d.Config.Width)
					}
					kvcache.SetGraphs(kvcache.GraphsOff, nil)
					want, wantProbs := texts(t, plain, memory)
					kvcache.SetGraphs(kvcache.GraphsOn, nil)
					before := standin.Count()
					got, gotProbs := texts(t, d, memory)
					c := standin.Count().Since(before)
					if fmt.Sprint(got) != fmt.Sprint(want) {
						t.Errorf("batch %d: got %v, want %v", batch, got, want)
					}
					for i := range gotProbs {
						if diff := gotProbs[i] - wantProbs[i]; !(diff < 1e-5 && diff > -1e-5) {
							t.Fatalf("batch %d: log-probability %d: got %v, want %v", batch, i, gotProbs[i], wantProbs[i])
						}
					}
					if replayed := c.Waiting() == 6; replayed == (batch == 1 || batch == 2) {
						t.Errorf("batch %d: got %+v, want waits in batches 1 and 2, where graphs are made", batch, c)
					}
				}
			})
		})
	}
}
