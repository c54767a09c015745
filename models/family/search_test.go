package family

import (
	"slices"
	"testing"

	"captioner/models/decode"
	"captioner/torch"
	"captioner/torch/torchtest"
)

// held is a Writer whose captions are the image's number, and whose sessions hold 100 MB of an image.
type held struct{ batches []int }

func (w *held) Holds(positions int64) int64 { return positions * 50 << 20 }

func (w *held) Start(features *torch.Tensor, t Texts) (Session, error) {
	w.batches = append(w.batches, t.Images)
	return &numbers{first: torch.Slice[float32](features.Narrow(1, 0, 1).Contiguous().View(-1))}, nil
}

func (w *held) Free() {}

// numbers is a Session that writes an image's number and then the end token, 0.
type numbers struct {
	first []float32
	steps int
}

func (s *numbers) Step(_, tokens []int32, k int, _ [][]int32) (ids []int32, logProbs []float32, err error) {
	for r := range tokens {
		ids, logProbs = append(ids, 0), append(logProbs, 0)
		if s.steps == 0 {
			ids[len(ids)-1] = int32(s.first[r])
		}
		for range k - 1 {
			ids, logProbs = append(ids, -1), append(logProbs, 0)
		}
	}
	s.steps++
	return ids, logProbs, nil
}

func (s *numbers) Logits(_, _ []int32) (*torch.Tensor, error) { return nil, nil }

func (s *numbers) Free() {}

// What a session would keep too much of is searched in groups, and the captions keep their order.
func TestSearchHoldsOnlySoMuchOfImages(t *testing.T) {
	o := decode.DefaultOptions()
	o.Beam, o.EOS = 1, 0
	for name, c := range map[string]struct {
		images, positions int
		want              []int
	}{
		"all at once":          {5, 2, []int{5}},
		"three groups":         {11, 2, []int{3, 4, 4}},
		"more than fits alone": {3, 20, []int{1, 1, 1}},
		"one":                  {1, 20, []int{1}},
	} {
		t.Run(name, func(t *testing.T) {
			torchtest.Do(t, func() {
				numbered := make([]float32, c.images*c.positions) // [n, P, 1]
				for i := range numbered {
					numbered[i] = float32(i/c.positions + 1)
				}
				x := torch.FromSlice(numbered, int64(c.images), int64(c.positions), 1)
				w := &held{}
				got, err := Search(w, x, c.images, o)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(w.batches, c.want) {
					t.Errorf("sessions of %v images, want %v", w.batches, c.want)
				}
				for i, hs := range got {
					if len(hs) != 1 || hs[0].Tokens[0] != int32(i+1) {
						t.Errorf("image %d: found %+v, want its number", i, hs)
					}
				}
			})
		})
	}
}
