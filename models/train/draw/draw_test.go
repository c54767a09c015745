package draw

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"captioner/models/family"
	"captioner/torch"
	"captioner/torch/torchtest"
)

// A number from 0 to 1 draws the token in whose share of the probabilities it falls; what has none is never drawn.
func TestFrom(t *testing.T) {
	log := func(p float64) float32 { return float32(math.Log(p)) }
	for _, tt := range []struct {
		name        string
		logits      []float32
		temperature float64
		at          []float32
		want        []int32
	}{
		{
			"shares", []float32{log(.1), log(.2), log(.3), log(.4)}, 1,
			[]float32{0, .05, .15, .35, .65, .99999994}, []int32{0, 0, 1, 2, 3, 3},
		},
		{
			"half the temperature squares the shares", []float32{log(.1), log(.2), log(.3), log(.4)}, .5,
			[]float32{.03, .04, .16, .17, .46, .47}, []int32{0, 1, 1, 2, 2, 3},
		},
		{
			"tokens without a share", []float32{log(0), 3, log(0), 3, log(0)}, 1,
			[]float32{0, .49, .51, .99999994}, []int32{1, 1, 3, 3},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			torchtest.EachDevice(t, func(t *testing.T, dev torch.Device) {
				v := int64(len(tt.logits))
				other := make([]float32, v) // of a row that nobody asks for
				x := torch.FromSlice(append(other, tt.logits...), 2, v).ToDevice(dev)
				rows := slices.Repeat([]int64{1}, len(tt.at))
				if got := (Rules{Temperature: tt.temperature}).from(x, rows, tt.at); !slices.Equal(got, tt.want) {
					t.Errorf("got %v, want %v", got, tt.want)
				}
			})
		})
	}
}

// lengths is a session that ends each caption after as many tokens as it wants, and begins all with one.
type lengths struct {
	family.Session
	wants     []int // of each caption, image by image, n of an image
	n, before int
	of        []int // the caption of each row; nil before the captions part
	steps     int
	fed       []int // rows of each step
}

func (l *lengths) Logits(parents, tokens []int32) (*torch.Tensor, error) {
	var of []int
	for r, p := range parents {
		if l.steps <= l.before {
			break
		}
		if l.of == nil {
			of = append(of, int(p)*l.n+r%l.n)
		} else {
			of = append(of, l.of[p])
		}
	}
	l.of = of
	var x []float32
	for r := range tokens {
		if of != nil && l.steps-l.before >= l.wants[of[r]] {
			x = append(x, -100, 100, -100) // the end
		} else {
			x = append(x, 100, -100, -100)
		}
	}
	l.steps, l.fed = l.steps+1, append(l.fed, len(tokens))
	return torch.FromSlice(x, int64(len(tokens)), 3), nil
}

func TestCaptions(t *testing.T) {
	for _, tt := range []struct {
		name   string
		prompt []int32
		fed    []int // rows of each step
	}{
		{"without a prompt", nil, []int{3, 6, 4, 4}},
		{"behind a prompt", []int32{2, 2}, []int{3, 3, 3, 6, 4, 4}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			torchtest.Do(t, func() {
				s := &lengths{wants: []int{1, 3, 2, 9, 1, 1}, n: 2, before: len(tt.prompt)}
				captions := make([][]Caption, 3)
				for i := range captions {
					for k := range s.n {
						captions[i] = append(captions[i], Caption{Random: rand.New(rand.NewPCG(uint64(i), uint64(k)))})
					}
				}
				r := Rules{Begin: 2, Ends: []int32{2, 1}, Prompt: tt.prompt, Most: 4, Temperature: 1}
				if err := r.draw(s, captions); err != nil {
					t.Fatal(err)
				}
				for i, want := range s.wants {
					c := captions[i/s.n][i%s.n]
					if got := len(c.Tokens) - len(tt.prompt); got != min(want, 4) || c.Finished != (want < 4) {
						t.Errorf("caption %d: got %d tokens, finished %v, want %d", i, got, c.Finished, want)
					}
				}
				if !slices.Equal(s.fed, tt.fed) {
					t.Errorf("rows of the steps: got %v, want %v", s.fed, tt.fed)
				}
			})
		})
	}
}
