package batch

import (
	"fmt"
	"testing"

	"captioner/torch"
	"captioner/torch/torchtest"
)

// Two images of three texts. Those of the first begin alike: 1 2 3 and 1 2 4, and 1 2 3 once more.
func TestShare(t *testing.T) {
	torchtest.Do(t, func() {
		texts := [][]int32{{1, 2, 3, 9}, {1, 2, 4, 9}, {1, 2, 3, 9}, {1, 5, 9}, {1, 6, 9}, {1, 5, 7, 9}}
		b, weights, err := Share(texts, 2, []float32{1, -3, 2, .5, .25, .25}, 0, torch.CPU)
		if err != nil {
			t.Fatal(err)
		}
		ints := func(x *torch.Tensor, n int64) string { return fmt.Sprint(torch.Slice[int64](x.Narrow(0, 0, n))) }
		for _, tt := range []struct{ name, got, want string }{
			{"tokens", ints(b.Tokens, 8), "[1 2 3 4 1 5 6 7]"},
			{"positions", ints(b.Positions, 8), "[0 1 2 2 0 1 1 2]"},
			{"the tokens of each text", fmt.Sprint(torch.Slice[int64](b.shared.whole)), "[0 1 2 0 1 3 0 1 2 4 5 4 6 4 5 7]"},
			{"where texts start", fmt.Sprint(torch.Slice[int64](b.Starts)), "[0 3 6 9 11 13 16]"},
			{"where tokens first stand", ints(b.shared.firsts, 8), "[0 1 2 5 9 10 12 15]"},
			// 1 2 is behind every text of the first image, whose values cancel out
			{"asked tokens", ints(b.shared.asked, 9), "[1 2 1 3 4 5 4 6 5]"},
			{"targets", ints(b.Targets, 9), "[3 9 4 9 5 9 6 9 7]"},
			{"weights", fmt.Sprint(torch.Slice[float32](weights.Narrow(0, 0, 9))), "[3 3 -3 -3 0.75 0.5 0.25 0.25 0.25]"},
			{"where images start", fmt.Sprint(b.Images(2)), "[0 4 64]"},
			{"targets of all texts", fmt.Sprint(b.Count), "16"},
			{"sizes", fmt.Sprint(b.Tokens.Dim(0), b.Targets.Dim(0), weights.Dim(0)), "64 64 64"},
		} {
			if tt.got != tt.want {
				t.Errorf("%s: got %s, want %s", tt.name, tt.got, tt.want)
			}
		}
		b, _, err = Share(texts, 2, []float32{1, -3, 2, .5, .25, .25}, 1, torch.CPU)
		if err != nil {
			t.Fatal(err)
		}
		if got := ints(b.Targets, 7); got != "[3 9 4 9 9 9 7]" || b.Count != 10 {
			t.Errorf("behind a prompt of a token: got targets %s, %d in all, want [3 9 4 9 9 9 7] and 10", got, b.Count)
		}
	})
}

func TestShareRefuses(t *testing.T) {
	torchtest.Do(t, func() {
		for _, tt := range []struct {
			name   string
			texts  [][]int32
			images int
			values []float32
		}{
			{"no texts", nil, 1, nil},
			{"a text of one token", [][]int32{{1}}, 1, []float32{1}},
			{"more texts of one image", [][]int32{{1, 2}, {1, 2}, {1, 2}}, 2, []float32{1, 1, 1}},
			{"a value too few", [][]int32{{1, 2}, {1, 2}}, 2, []float32{1}},
		} {
			if _, _, err := Share(tt.texts, tt.images, tt.values, 0, torch.CPU); err == nil {
				t.Errorf("%s: got no error", tt.name)
			}
		}
	})
}
