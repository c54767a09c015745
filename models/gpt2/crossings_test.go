//go:build standin

package gpt2

import (
	"testing"

	"captioner/torch"
	"captioner/torch/standin"
	"captioner/torch/torchtest"
)

// A token of all beams of all images waits for the GPU once: the best next tokens and their log-probabilities come in
// one copy. Up go the tokens, what is banned, and which rows the cache moves.
func TestStepWaitsOnce(t *testing.T) {
	standin.Install()
	src := torchtest.Fixture(t, fixture)
	for _, tt := range []struct {
		name string
		ban  [][]int32
		most int64 // uploads
	}{
		{"free", nil, 3},
		{"with bans", [][]int32{{1, 2}, {}, {3}, {}}, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			torchtest.Do(t, func() {
				dev := torch.CUDA(1)
				m := load(t, src, dev, false)
				d := m.Decoder(torch.Float32)
				defer d.Free()
				m.Free()
				s, err := d.Start(torchtest.Get(t, src, "memory"), 2, 2, 4)
				if err != nil {
					t.Fatal(err)
				}
				defer s.Free()
				if _, _, err := s.Step(nil, []int32{0, 0}, 4, nil); err != nil {
					t.Fatal(err)
				}
				for _, parents := range [][]int32{{0, 0, 1, 1}, {1, 0, 3, 3}, {1, 1, 2, 3}} {
					before := standin.Count()
					if _, _, err := s.Step(parents, []int32{1, 2, 3, 4}, 4, tt.ban); err != nil {
						t.Fatal(err)
					}
					got := standin.Count().Since(before)
					if got.Waiting() != 1 || got.Downloads != 1 || got.Uploads > tt.most {
						t.Errorf("got %+v, want 1 download and at most %d uploads", got, tt.most)
					}
				}
			})
		})
	}
}
