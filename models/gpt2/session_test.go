package gpt2

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"captioner/models/batch"
	"captioner/torch"
	"captioner/torch/torchtest"
)

func TestSessionMatchesPyTorch(t *testing.T) {
	src := torchtest.Fixture(t, fixture)
	for _, tt := range []struct {
		dtype torch.DType
		tol   torchtest.Tolerance
	}{{torch.Float32, torchtest.Tolerances[torch.Float32]}, {torch.BFloat16, torchtest.Tolerance{Rel: 0.05}}} {
		t.Run(tt.dtype.String(), func(t *testing.T) {
			torchtest.EachDevice(t, func(t *testing.T, dev torch.Device) {
				m := load(t, src, dev, false)
				d := m.Decoder(tt.dtype)
				defer d.Free()
				m.Free()
				memory, tokens, logits := torchtest.Get(
					t,
					src,
					"memory",
				), torchtest.Get(
					t,
					src,
					"decode.tokens",
				), torchtest.Get(
					t,
					src,
					"decode.logits",
				)
				steps, images := int(tokens.Dim(0)), int(tokens.Dim(1))
				s, err := d.Start(memory, images, 1, steps)
				if err != nil {
					t.Fatal(err)
				}
				defer s.Free()
				var parents []int32
				for step := range steps {
					var feed []int32
					for _, id := range torch.Slice[int64](tokens.Select(0, int64(step))) {
						feed = append(feed, int32(id))
					}
					got, err := s.Logits(parents, feed)
					if err != nil {
						t.Fatal(err)
					}
					torchtest.CloseTo(t, fmt.Sprint("step ", step), got, logits.Select(0, int64(step)), tt.tol)
					parents = []int32{0, 1}
				}
			})
		})
	}
}

// Whatever rows a search continues, drops and doubles, each row's logits are those of its whole text.
func TestSessionMatchesForward(t *testing.T) {
	src := torchtest.Fixture(t, fixture)
	for _, tt := range []struct {
		name             string
		memory, products bool // products: attention by plain products, as on a GPU, also where the kernel could run
	}{{"memory", true, false}, {"text alone", false, false}, {"memory by products", true, true}} {
		t.Run(tt.name, func(t *testing.T) {
			torchtest.EachDevice(t, func(t *testing.T, dev torch.Device) {
				m := load(t, src, dev, false)
				defer m.Free()
				d := m.Decoder(torch.Float32)
				defer d.Free()
				d.fused = d.fused && !tt.products
				rng := rand.New(rand.NewPCG(3, 4))
				for range 10 {
					compareWithForward(t, m, d, rng, dev, tt.memory)
				}
			})
		})
	}
}

// randomParents draws the parents of a step of width rows an image, of texts that each belong to an image; about one
// image in five ends.
func randomParents(rng *rand.Rand, images, oldWidth, width int) (parents []int32, alive []int) {
	for i := range images {
		if images > 1 && rng.IntN(5) == 0 && !(i == images-1 && len(alive) == 0) {
			continue
		}
		alive = append(alive, i)
		for range width {
			parents = append(parents, int32(i*oldWidth+rng.IntN(oldWidth)))
		}
	}
	return parents, alive
}

func compareWithForward(t *testing.T, m *Model, d *Decoder, rng *rand.Rand, dev torch.Device, withMemory bool) {
	const images, maxLen = 5, 7
	torch.Seed(int64(rng.Uint32()))
	all := torch.Randn(torch.Float32, dev, images, 4, m.Config.Width)
	memory := all
	if !withMemory {
		memory = nil
	}
	s, err := d.Start(memory, images, 2, maxLen)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Free()
	width := 1
	names := []int64{0, 1, 2, 3, 4}
	texts := make([][]int32, images)
	var parents []int32
	for step := range maxLen {
		if step > 0 {
			next := width
			if step == 1 || rng.IntN(5) == 0 {
				next = 1 + rng.IntN(3)
			}
			var alive []int
			parents, alive = randomParents(rng, len(names), width, next)
			width = next
			var nowTexts [][]int32
			var now []int64
			for _, p := range parents {
				nowTexts = append(nowTexts, slices.Clone(texts[p]))
			}
			for _, i := range alive {
				now = append(now, names[i])
			}
			texts, names = nowTexts, now
		}
		var tokens []int32
		for r := range texts {
			tokens = append(tokens, int32(rng.IntN(int(m.Config.VocabSize))))
			texts[r] = append(texts[r], tokens[r])
		}
		torch.Scoped(func() {
			got, err := s.Logits(parents, tokens)
			if err != nil {
				t.Fatal(err)
			}
			var rows [][]int32
			for _, text := range texts {
				rows = append(rows, append(slices.Clone(text), 0))
			}
			b, err := batch.Pack(rows, dev)
			if err != nil {
				t.Fatal(err)
			}
			var own *torch.Tensor
			if withMemory {
				own = all.IndexSelect(0, torch.FromSlice(names).ToDevice(dev))
			}
			var last []int64 // the row of each text's last token
			for i := range rows {
				last = append(last, int64((i+1)*(step+1)-1))
			}
			want := m.Forward(b, own, false).IndexSelect(0, torch.FromSlice(last).ToDevice(dev))
			torchtest.Close(t, fmt.Sprintf("step %d", step), got, want)
		})
		if t.Failed() {
			t.Fatalf("parents %v, width %d", parents, width)
		}
	}
}

func TestStepGivesTheBest(t *testing.T) {
	src := torchtest.Fixture(t, fixture)
	torchtest.EachDevice(t, func(t *testing.T, dev torch.Device) {
		m := load(t, src, dev, false)
		defer m.Free()
		d := m.Decoder(torch.Float32)
		defer d.Free()
		memory := torchtest.Get(t, src, "memory")
		const k = 4
		ban := [][]int32{nil, {3, 7}, {0}} // a row short: the last has none
		steps := []struct{ parents, tokens []int32 }{
			{nil, []int32{0, 0}},
			{[]int32{0, 0, 1, 1}, []int32{5, 6, 7, 8}},
			{[]int32{1, 1, 3, 2}, []int32{9, 10, 11, 12}},
		}
		byStep, byLogits := start(t, d, memory), start(t, d, memory)
		defer byStep.Free()
		defer byLogits.Free()
		for _, step := range steps {
			logits, err := byLogits.Logits(step.parents, step.tokens)
			if err != nil {
				t.Fatal(err)
			}
			logProbs := torch.Slice[float32](logits.LogSoftmax(-1))
			ids, got, err := byStep.Step(step.parents, step.tokens, k, ban)
			if err != nil {
				t.Fatal(err)
			}
			for r := range step.tokens {
				row := logProbs[r*int(m.Config.VocabSize):][:m.Config.VocabSize]
				var order []int32
				for id := range row {
					if r >= len(ban) || !slices.Contains(ban[r], int32(id)) {
						order = append(order, int32(id))
					}
				}
				slices.SortStableFunc(order, func(a, b int32) int {
					if row[a] > row[b] {
						return -1
					}
					return 1
				})
				if want := order[:k]; !slices.Equal(ids[r*k:(r+1)*k], want) {
					t.Errorf("row %d: got %v, want %v", r, ids[r*k:(r+1)*k], want)
				}
				for j, id := range ids[r*k : (r+1)*k] {
					if math.Abs(float64(got[r*k+j]-row[id])) > 1e-4 {
						t.Errorf("row %d: got log-probability %g of %d, want %g", r, got[r*k+j], id, row[id])
					}
				}
			}
		}
	})
}

func start(t *testing.T, d *Decoder, memory *torch.Tensor) *Session {
	t.Helper()
	s, err := d.Start(memory, 2, 2, 5)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSessionRefuses(t *testing.T) {
	src := torchtest.Fixture(t, fixture)
	torchtest.Do(t, func() {
		m := load(t, src, torch.CPU, false)
		defer m.Free()
		d := m.Decoder(torch.Float32)
		defer d.Free()
		memory := torchtest.Get(t, src, "memory")
		want := func(err error, text string) {
			t.Helper()
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("got %v, want %q in it", err, text)
			}
		}
		_, err := d.Start(memory, 3, 1, 5)
		want(err, "found a memory of shape [2 5 16], want [3, positions, 16]")
		_, err = d.Start(memory, 2, 0, 5)
		want(err, "found 2 images with 0 rows")
		_, err = d.Start(memory, 2, 1, 33)
		want(err, "want 1 to n_positions 32")

		s, err := d.Start(memory, 2, 1, 2)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Free()
		_, _, err = s.Step([]int32{0, 1}, []int32{0, 0}, 1, nil)
		want(err, "want none at the first step only")
		_, _, err = s.Step(nil, []int32{0}, 1, nil)
		want(err, "found 1 tokens for 2 rows")
		for i := range 2 {
			var parents []int32
			if i > 0 {
				parents = []int32{0, 1}
			}
			if _, _, err := s.Step(parents, []int32{0, 0}, 1, nil); err != nil {
				t.Fatal(err)
			}
		}
		_, _, err = s.Step([]int32{0, 1}, []int32{0, 0}, 1, nil)
		want(err, "text is full, 2 tokens")
	})
}

// Texts behind a prefix give the logits of the whole network over prefix and text.
func TestSessionAfterPrefix(t *testing.T) {
	src := torchtest.Fixture(t, fixture)
	torchtest.EachDevice(t, func(t *testing.T, dev torch.Device) {
		m := load(t, src, dev, false)
		defer m.Free()
		d := m.Decoder(torch.Float32)
		defer d.Free()
		torch.Seed(5)
		c := m.Config
		prefix := torch.Randn(torch.Float32, torch.CPU, 2, 3, c.Width).ToDevice(dev)
		s, err := d.StartAfter(prefix, 2, 2, 4)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Free()
		texts := [][]int64{{}, {}}
		var parents []int32
		for step := range 4 {
			tokens := make([]int32, len(texts))
			if step > 0 { // the first step feeds the prefix's last embedding
				for r := range texts {
					tokens[r] = int32(5*r+7*step) % int32(c.VocabSize)
					texts[r] = append(slices.Clip(texts[r]), int64(tokens[r]))
				}
			}
			got, err := s.Logits(parents, tokens)
			if err != nil {
				t.Fatal(err)
			}
			for r, text := range texts {
				image := int64(r * 2 / len(texts))
				want := m.behind(prefix.Narrow(0, image, 1), text)
				torchtest.Close(t, fmt.Sprint(text), got.Select(0, int64(r)), want)
			}
			if step == 0 { // two texts an image
				texts, parents = [][]int64{texts[0], texts[0], texts[1], texts[1]}, []int32{0, 0, 1, 1}
			} else {
				parents = []int32{1, 0, 3, 3}
				texts = [][]int64{texts[1], texts[0], texts[3], texts[3]}
			}
		}
		if _, err := d.StartAfter(prefix, 3, 2, 4); err == nil {
			t.Error("a prefix of other images: got no error")
		}
	})
}

// behind gives the logits [V] behind a prefix [1, P, C] and a text.
func (m *Model) behind(prefix *torch.Tensor, text []int64) *torch.Tensor {
	x, n := prefix, prefix.Dim(1)+int64(len(text))
	if len(text) > 0 {
		ids := torch.FromSlice(text).ToDevice(prefix.Device())
		x = torch.Cat(1, x, m.Transformer.Tokens.Forward(ids).Unsqueeze(0)) // [1, n, C]
	}
	x = x.Add(m.Transformer.Positions.Weight.Narrow(0, 0, n)).Select(0, 0) // [n, C]
	p := &pass{Model: m, batch: &batch.Texts{Rows: 1, Len: n, Tokens: torch.Zeros(torch.Int64, prefix.Device(), n)}}
	return m.Logits(p.through(x, nil)).Select(0, n-1)
}
