package bert

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"captioner/models/batch"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/torch/torchtest"
)

func TestMain(m *testing.M) { torchtest.OneThread(m) }

var small = Config{
	VocabSize: 60, Width: 48, Layers: 2, Heads: 3, Inner: 64, Positions: 12, Activation: "gelu", Epsilon: 1e-6,
}

// random makes a model of c and an output layer of random weights.
func random(t *testing.T, c Config) (*Model, Head) {
	t.Helper()
	torch.Seed(7)
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	dense, norm := nn.NewLinear(c.Width, c.Width, true), nn.NewLayerNorm(c.Width, c.Epsilon)
	h := Head{Dense: &dense, Norm: &norm, Words: torch.Empty(torch.Float32, torch.CPU, c.VocabSize, c.Width).Keep(),
		Bias: torch.Empty(torch.Float32, torch.CPU, c.VocabSize).Keep()}
	for _, p := range nn.State(m) {
		nn.Normal(p.Tensor, 0.2)
	}
	for _, x := range []*torch.Tensor{dense.Weight, dense.Bias, norm.Weight, norm.Bias, h.Words, h.Bias} {
		nn.Normal(x, 0.2)
	}
	return m, h
}

// decoderOn prepares the model that random makes on dev.
func decoderOn(t *testing.T, c Config, dev torch.Device) *Decoder {
	t.Helper()
	m, h := random(t, c)
	defer nn.Free(m)
	nn.Move(m, dev)
	nn.Move(h.Dense, dev)
	nn.Move(h.Norm, dev)
	words, bias := h.Words, h.Bias
	h.Words, h.Bias = words.ToDevice(dev), bias.ToDevice(dev)
	defer func() {
		nn.Free(h.Dense)
		nn.Free(h.Norm)
		words.Free()
		bias.Free()
	}()
	return m.Decoder(h, torch.Float32)
}

func freeHead(h Head) {
	nn.Free(h.Dense)
	nn.Free(h.Norm)
	h.Words.Free()
	h.Bias.Free()
}

// whole gives the logits behind a text [1, T, V] by Model.Forward: over a memory [1, P, M], or behind a prefix [1, P,
// C].
func whole(m *Model, h Head, text []int64, memory, prefix *torch.Tensor) *torch.Tensor {
	x := m.Embed(torch.FromSlice(text, 1, int64(len(text))))
	n := int64(len(text))
	if prefix == nil {
		return h.Forward(m.Forward(x, memory, batch.Causal(n, torch.CPU)))
	}
	p := prefix.Dim(1)
	mask := batch.Causal(p+n, torch.CPU)
	mask.Narrow(0, 0, p).Narrow(1, 0, p).Copy(torch.Zeros(torch.Float32, torch.CPU, p, p))
	return h.Forward(m.Forward(torch.Cat(1, prefix, x), nil, mask)).Narrow(1, p, n)
}

// Texts that branch, end and change places give the logits that the whole network gives to each of them.
func TestSessionMatchesForward(t *testing.T) {
	for _, prefixed := range []bool{false, true} {
		t.Run(fmt.Sprintf("prefix %v", prefixed), func(t *testing.T) {
			torchtest.EachDevice(t, func(t *testing.T, dev torch.Device) {
				c := small
				if !prefixed {
					c.Memory = 40
				}
				m, h := random(t, c)
				defer nn.Free(m)
				defer freeHead(h)
				d := decoderOn(t, c, dev)
				defer d.Free()
				rng := rand.New(rand.NewPCG(3, 4))
				for range 6 {
					torch.Scoped(func() { compare(t, m, h, d, rng, prefixed) })
				}
			})
		})
	}
}

func compare(t *testing.T, m *Model, h Head, d *Decoder, rng *rand.Rand, prefixed bool) {
	t.Helper()
	images := 1 + rng.IntN(4)
	start, width := d.Start, m.Config.Memory
	if prefixed {
		start, width = d.StartAfter, m.Config.Width
	}
	given := torch.Randn(torch.Float32, torch.CPU, int64(images), 5, width)
	s, err := start(given, images, 2, 8)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Free()
	var parents []int32
	texts, image := make([][]int64, images), make([]int, images)
	for i := range images {
		image[i] = i
	}
	for range 8 {
		tokens := make([]int32, len(texts))
		for r := range texts {
			tokens[r] = rng.Int32N(int32(m.Config.VocabSize))
			texts[r] = append(slices.Clip(texts[r]), int64(tokens[r]))
		}
		got, err := s.Logits(parents, tokens)
		if err != nil {
			t.Fatal(err)
		}
		for r, text := range texts {
			mine := given.Narrow(0, int64(image[r]), 1)
			memory, prefix := mine, (*torch.Tensor)(nil)
			if prefixed {
				memory, prefix = nil, mine
			}
			want := whole(m, h, text, memory, prefix).Select(0, 0)
			torchtest.Close(t, fmt.Sprint(text), got.Select(0, int64(r)), want.Select(0, want.Dim(0)-1))
		}
		parents, texts, image = branch(rng, texts, image)
	}
}

// branch draws the rows of the next step: two an image, each of any row of the image; about one image in five ends.
func branch(rng *rand.Rand, texts [][]int64, image []int) (parents []int32, nextTexts [][]int64, nextImage []int) {
	for from := 0; from < len(texts); {
		rows := 0
		for from+rows < len(texts) && image[from+rows] == image[from] {
			rows++
		}
		if last := from+rows == len(texts); rng.IntN(5) > 0 || last && parents == nil {
			for range 2 {
				r := from + rng.IntN(rows)
				parents = append(parents, int32(r))
				nextTexts, nextImage = append(nextTexts, texts[r]), append(nextImage, image[r])
			}
		}
		from += rows
	}
	return parents, nextTexts, nextImage
}

// Step ranks what Logits gives, with the output layer's bias and without what is banned.
func TestStepRanksLogits(t *testing.T) {
	for _, dtype := range []torch.DType{torch.Float32, torch.BFloat16, torch.Int8} {
		t.Run(dtype.String(), func(t *testing.T) {
			torchtest.Do(t, func() {
				c := small
				c.Memory = 40
				m, h := random(t, c)
				defer nn.Free(m)
				defer freeHead(h)
				d := m.Decoder(h, dtype)
				defer d.Free()
				memory := torch.Randn(torch.Float32, torch.CPU, 3, 5, 40)
				session := func() *Session {
					s, err := d.Start(memory, 3, 1, 4)
					if err != nil {
						t.Fatal(err)
					}
					return s
				}
				a, b := session(), session()
				defer a.Free()
				defer b.Free()
				logits, err := a.Logits(nil, []int32{1, 2, 3})
				if err != nil {
					t.Fatal(err)
				}
				best, _, err := b.Step(nil, []int32{1, 2, 3}, 1, nil)
				if err != nil {
					t.Fatal(err)
				}
				wantIDs, wantProbs := torch.TopKLogProbs(logits, 4, 1, [][]int32{{best[0]}, nil, {5}})
				c2 := session()
				defer c2.Free()
				ids, probs, err := c2.Step(nil, []int32{1, 2, 3}, 4, [][]int32{{best[0]}, nil, {5}})
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(ids, wantIDs) {
					t.Errorf("got %v, want %v", ids, wantIDs)
				}
				for i := range probs {
					if diff := probs[i] - wantProbs[i]; diff > 1e-4 || diff < -1e-4 {
						t.Errorf("got log-probability %g, want %g", probs[i], wantProbs[i])
					}
				}
			})
		})
	}
}

// A row's logits must be the same bits whatever images stand beside it: captions are compared with ==.
func TestSessionDoesNotDependOnTheBatch(t *testing.T) {
	for _, prefixed := range []bool{false, true} {
		for _, dtype := range []torch.DType{torch.Float32, torch.BFloat16, torch.Int8} {
			t.Run(fmt.Sprintf("prefix %v, %v", prefixed, dtype), func(t *testing.T) {
				if !torch.HasPanels(torch.Float32) {
					t.Skip("no kernels of our own for this processor")
				}
				torchtest.Do(t, func() {
					c := small
					c.VocabSize, c.Width, c.Heads, c.Inner = 500, 384, 6, 1536
					start, width := (*Decoder).StartAfter, c.Width
					if !prefixed {
						c.Memory, start, width = 256, (*Decoder).Start, 256
					}
					m, h := random(t, c)
					defer nn.Free(m)
					defer freeHead(h)
					d := m.Decoder(h, dtype)
					defer d.Free()
					given := torch.Randn(torch.Float32, torch.CPU, 7, 33, width)
					run := func(from, n int64) *torch.Tensor { // [n, V] behind three tokens
						s, err := start(d, given.Narrow(0, from, n), int(n), 1, 3)
						if err != nil {
							t.Fatal(err)
						}
						defer s.Free()
						var out *torch.Tensor
						var parents []int32
						for step := range 3 {
							tokens := make([]int32, n)
							for i := range tokens {
								tokens[i] = int32(10*step) + int32(from) + int32(i)
							}
							if out, err = s.Logits(parents, tokens); err != nil {
								t.Fatal(err)
							}
							parents = parents[:0]
							for i := range int32(n) {
								parents = append(parents, i)
							}
						}
						return out
					}
					all := run(0, 7)
					for _, part := range [][2]int64{{0, 1}, {2, 3}, {6, 1}} {
						got, want := run(part[0], part[1]), all.Narrow(0, part[0], part[1])
						torchtest.CloseTo(t, fmt.Sprint(part), got, want, torchtest.Tolerance{})
					}
				})
			})
		}
	}
}

func TestRefusals(t *testing.T) {
	torchtest.Do(t, func() {
		c := small
		c.Memory = 40
		m, h := random(t, c)
		defer nn.Free(m)
		defer freeHead(h)
		d := m.Decoder(h, torch.Float32)
		defer d.Free()
		memory := torch.Randn(torch.Float32, torch.CPU, 2, 5, 40)
		for _, tt := range []struct {
			name                  string
			memory                *torch.Tensor
			images, width, length int
			want                  string
		}{
			{"no images", memory, 0, 1, 4, "1 or more of each"},
			{"a text longer than the positions", memory, 2, 1, 13, "max_position_embeddings 12"},
			{"a memory of other images", memory, 3, 1, 4, "want [3, positions, 40]"},
			{"a memory of another width", torch.Randn(torch.Float32, torch.CPU, 2, 5, 48), 2, 1, 4, "want [2, positions, 40]"},
		} {
			_, err := d.Start(tt.memory, tt.images, tt.width, tt.length)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: got %v, want %q in it", tt.name, err, tt.want)
			}
		}
	})
	if err := (Config{}).Validate(); err == nil || !strings.Contains(err.Error(), "hidden_size") {
		t.Errorf("the empty configuration: got %v", err)
	}
}
