package clipdecoder10

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"captioner/torch"
	"captioner/torch/nn"
	"captioner/torch/torchtest"
	"captioner/weights"
)

const fixture = "testdata/transformer.safetensors"

// load prepares the fixture's decoder on dev, by its weights and the number of heads that they do not tell.
func load(t *testing.T, src weights.Source, dev torch.Device) *Decoder {
	t.Helper()
	view, err := Keys(src)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ConfigOf(view)
	if err != nil {
		t.Fatal(err)
	}
	if c.Heads != defaultHeads {
		t.Errorf("got %d heads off the weights, want the constructor's %d", c.Heads, defaultHeads)
	}
	if c.Heads, err = strconv.ParseInt(src.Metadata()["heads"], 10, 64); err != nil {
		t.Fatal(err)
	}
	if want := (Config{Layers: 3, Width: 16, Heads: 2, Inner: 24, VocabSize: 40, Positions: 12}); c != want {
		t.Fatalf("got %+v, want %+v", c, want)
	}
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Free()
	if err := nn.Load(m, view, nn.LoadOptions{Device: dev}); err != nil {
		t.Fatal(err)
	}
	return m.Decoder()
}

// column is ids [T, B] at step t, as a session takes tokens.
func column(ids *torch.Tensor, t int64) []int32 {
	var out []int32
	for _, id := range torch.Slice[int64](ids.Select(0, t)) {
		out = append(out, int32(id))
	}
	return out
}

// own are the parents of rows of which each continues itself.
func own(rows int) []int32 {
	out := make([]int32, rows)
	for i := range out {
		out[i] = int32(i)
	}
	return out
}

// PyTorch computes whole texts under a causal mask, the session a token a step with what it has kept.
func TestSessionMatchesPyTorch(t *testing.T) {
	src := torchtest.Fixture(t, fixture)
	torchtest.EachDevice(t, func(t *testing.T, dev torch.Device) {
		d := load(t, src, dev)
		defer d.Free()
		ids, logits := torchtest.Get(t, src, "ids"), torchtest.Get(t, src, "logits") // [T, B], [T, B, V]
		steps, images := ids.Dim(0), int(ids.Dim(1))
		s, err := d.Start(torchtest.Get(t, src, "memory").ToDevice(dev), images, 1, int(steps))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Free()
		var parents []int32
		for step := range steps {
			got, err := s.Logits(parents, column(ids, step))
			if err != nil {
				t.Fatal(err)
			}
			torchtest.Close(t, fmt.Sprint("step ", step), got, logits.Select(0, step))
			parents = own(images)
		}
	})
}

// The best token of each step is PyTorch's, to the last position.
func TestSessionDecodesGreedily(t *testing.T) {
	src := torchtest.Fixture(t, fixture)
	torchtest.EachDevice(t, func(t *testing.T, dev torch.Device) {
		d := load(t, src, dev)
		defer d.Free()
		want := torchtest.Get(t, src, "greedy") // [T, B]
		steps, images := want.Dim(0), int(want.Dim(1))
		s, err := d.Start(torchtest.Get(t, src, "memory").ToDevice(dev), images, 1, int(steps))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Free()
		tokens, parents := column(want, 0), []int32(nil)
		for step := int64(1); step < steps; step++ {
			if tokens, _, err = s.Step(parents, tokens, 1, nil); err != nil {
				t.Fatal(err)
			}
			if w := column(want, step); !slices.Equal(tokens, w) {
				t.Fatalf("token %d: got %v, want %v", step, tokens, w)
			}
			parents = own(images)
		}
		banned, _, err := s.Step(parents, tokens, 2, [][]int32{{tokens[0]}, nil, nil})
		if err != nil || len(banned) != 2*images || slices.Contains(banned[:2], tokens[0]) {
			t.Errorf("two a row without %d in the first: got %v, %v", tokens[0], banned, err)
		}
	})
}

// Whatever rows a search continues, drops and doubles, each row's logits are those of its whole text in a session of
// its own.
func TestSessionFollowsItsParents(t *testing.T) {
	src := torchtest.Fixture(t, fixture)
	torchtest.EachDevice(t, func(t *testing.T, dev torch.Device) {
		d := load(t, src, dev)
		defer d.Free()
		rng := rand.New(rand.NewPCG(1, 2))
		for range 5 {
			compareWithAlone(t, d, rng, dev)
		}
	})
}

func compareWithAlone(t *testing.T, d *Decoder, rng *rand.Rand, dev torch.Device) {
	t.Helper()
	const images, maxLen = 3, 6
	torch.Seed(int64(rng.Uint32()))
	memory := torch.Randn(torch.Float32, dev, images, 1, d.Config.Width)
	s, err := d.Start(memory, images, 1, maxLen)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Free()
	image, texts := []int64{0, 1, 2}, make([][]int32, images)
	var parents []int32
	for step := range maxLen {
		if step > 0 { // up to five rows of any before
			parents = make([]int32, 1+rng.IntN(5))
			now, seen := make([][]int32, len(parents)), make([]int64, len(parents))
			for r := range parents {
				p := rng.IntN(len(texts))
				parents[r], now[r], seen[r] = int32(p), slices.Clone(texts[p]), image[p]
			}
			texts, image = now, seen
		}
		tokens := make([]int32, len(texts))
		for r := range texts {
			tokens[r] = int32(rng.IntN(int(d.Config.VocabSize)))
			texts[r] = append(texts[r], tokens[r])
		}
		torch.Scoped(func() {
			got, err := s.Logits(parents, tokens)
			if err != nil {
				t.Fatal(err)
			}
			for r, text := range texts {
				torchtest.Close(
					t,
					fmt.Sprintf("step %d, row %d, parents %v", step, r, parents),
					got.Select(0, int64(r)),
					alone(t, d, memory.Narrow(0, image[r], 1), text),
				)
			}
		})
	}
}

// alone are the logits behind one text, [V].
func alone(t *testing.T, d *Decoder, memory *torch.Tensor, text []int32) (last *torch.Tensor) {
	t.Helper()
	s, err := d.Start(memory, 1, 1, len(text))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Free()
	var parents []int32
	for _, token := range text {
		if last, err = s.Logits(parents, []int32{token}); err != nil {
			t.Fatal(err)
		}
		parents = []int32{0}
	}
	return last.Select(0, 0)
}

func TestSessionRefuses(t *testing.T) {
	src := torchtest.Fixture(t, fixture)
	torchtest.Do(t, func() {
		d := load(t, src, torch.CPU)
		defer d.Free()
		memory := torchtest.Get(t, src, "memory")
		for name, start := range map[string]func() (*Session, error){
			"no memory":          func() (*Session, error) { return d.Start(nil, 3, 1, 4) },
			"two positions":      func() (*Session, error) { return d.Start(torch.Cat(1, memory, memory), 3, 1, 4) },
			"another width":      func() (*Session, error) { return d.Start(memory.Narrow(2, 0, 15), 3, 1, 4) },
			"fewer pictures":     func() (*Session, error) { return d.Start(memory, 4, 1, 4) },
			"no tokens":          func() (*Session, error) { return d.Start(memory, 3, 1, 0) },
			"more than a text":   func() (*Session, error) { return d.Start(memory, 3, 1, 13) },
			"of a matrix's rank": func() (*Session, error) { return d.Start(memory.Select(1, 0), 3, 1, 4) },
		} {
			if s, err := start(); err == nil || !strings.HasPrefix(err.Error(), "start decoding: ") ||
				strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: got %v, want one line", name, err)
				s.Free()
			}
		}
		s, err := d.Start(memory, 3, 1, 2)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Free()
		step := func(parents []int32, tokens ...int32) {
			t.Helper()
			if _, _, err := s.Step(parents, tokens, 1, nil); err == nil ||
				!strings.HasPrefix(err.Error(), "decoder step") {
				t.Errorf("parents %v, tokens %v: got %v, want an error", parents, tokens, err)
			}
		}
		good := func(parents []int32, tokens ...int32) {
			t.Helper()
			if _, _, err := s.Step(parents, tokens, 1, nil); err != nil {
				t.Fatal(err)
			}
		}
		step([]int32{0, 1, 2}, 1, 2, 3) // before the first step there is nobody
		step(nil, 1, 2)
		good(nil, 1, 2, 3)
		step(nil, 1, 2, 3)
		step([]int32{0, 3}, 1, 2)
		step([]int32{-1}, 1)
		step([]int32{0, 1}, 1)
		good([]int32{2, 2}, 1, 2) // what was refused did nothing
		step([]int32{0, 1}, 1, 2) // full
	})
}

// relaid shows the fixture's tensors after a change to their list.
func relaid(t *testing.T, src weights.Source, change func(map[string]weights.NamedTensor)) weights.Source {
	t.Helper()
	all := map[string]weights.NamedTensor{}
	for _, name := range src.Names() {
		n, err := src.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = n
	}
	change(all)
	var list []weights.NamedTensor
	for name, n := range all {
		n.Name = name
		list = append(list, n)
	}
	m, err := weights.NewMemory(list, src.Metadata())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Whatever stands before the names, and whatever Lightning keeps beside the weights.
func TestKeysBelowAnyPrefix(t *testing.T) {
	src := torchtest.Fixture(t, fixture)
	for _, prefix := range []string{"", "state_dict.", "module.model."} {
		m := relaid(t, src, func(all map[string]weights.NamedTensor) {
			for name, n := range maps.Clone(all) {
				delete(all, name)
				if rest, ok := strings.CutPrefix(name, "model."); ok {
					all[prefix+rest] = n
				}
			}
		})
		view, err := Keys(m)
		if err != nil {
			t.Fatalf("%q: %v", prefix, err)
		}
		if len(view.Names()) != len(m.Names())-1 || slices.Contains(view.Names(), "norm.num_batches_tracked") {
			t.Errorf("%q: got %q, want all but the count of batches", prefix, view.Names())
		}
	}
	for _, gone := range []string{"model.embedding.embedding.weight", "model.positional_encoding.encodings"} {
		_, err := Keys(relaid(t, src, func(all map[string]weights.NamedTensor) { delete(all, gone) }))
		if !errors.Is(err, ErrNone) {
			t.Errorf("without %s: got %v, want %v", gone, err, ErrNone)
		}
	}
}

func TestConfigErrors(t *testing.T) {
	good := Config{Layers: 6, Width: 512, Heads: 8, Inner: 512, VocabSize: 9000, Positions: 1024}
	if err := good.check(); err != nil {
		t.Errorf("%+v: %v", good, err)
	}
	for name, change := range map[string]func(*Config){
		"no layer":                 func(c *Config) { c.Layers = 0 },
		"heads that do not divide": func(c *Config) { c.Heads = 7 },
		"too many layers":          func(c *Config) { c.Layers = 1025 },
		"a giant":                  func(c *Config) { c.VocabSize = 1 << 60 },
		"negative":                 func(c *Config) { c.Inner = -1 },
		"no position":              func(c *Config) { c.Positions = 0 },
	} {
		c := good
		change(&c)
		if _, err := New(c); err == nil || !strings.HasPrefix(err.Error(), "transformer: found ") ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want one line", name, err)
		}
	}
	src := torchtest.Fixture(t, fixture)
	for name, tt := range map[string]struct {
		change func(map[string]weights.NamedTensor)
		want   string
	}{
		"no block": {func(all map[string]weights.NamedTensor) {
			for name := range all {
				if strings.HasPrefix(name, "model.transformer.") {
					delete(all, name)
				}
			}
		}, `"transformer.layers.0.linear1.weight"`},
		"a vector of positions": {func(all map[string]weights.NamedTensor) {
			v := all["model.positional_encoding.encodings"]
			v.Shape = []int64{12 * 16}
			all["model.positional_encoding.encodings"] = v
		}, "shape [192], want 3 dimensions"},
		"a number that is no layer's": {func(all map[string]weights.NamedTensor) {
			all["model.transformer.layers.1000000.linear1.weight"] = all["model.linear.bias"]
		}, ""},
	} {
		view, err := Keys(relaid(t, src, tt.change))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		c, err := ConfigOf(view)
		if tt.want == "" {
			if err != nil || c.Layers != 3 {
				t.Errorf("%s: got %+v, %v, want 3 layers", name, c, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %s", name, err, tt.want)
		}
	}
}

// Weights that do not belong together are told by their names.
func TestLoadErrors(t *testing.T) {
	src := torchtest.Fixture(t, fixture)
	torchtest.Do(t, func() {
		for name, change := range map[string]func(map[string]weights.NamedTensor){
			"model.transformer.layers.1.norm3.bias":             nil,
			"model.transformer.layers.2.self_attn.in_proj_bias": nil,
			"model.norm.running_var":                            nil,
			"model.linear.weight": func(all map[string]weights.NamedTensor) {
				all["model.linear.weight"] = all["model.transformer.layers.0.linear1.weight"]
			},
		} {
			view, err := Keys(relaid(t, src, func(all map[string]weights.NamedTensor) {
				if change == nil {
					delete(all, name)
				} else {
					change(all)
				}
			}))
			if err != nil {
				t.Fatal(err)
			}
			m, err := New(Config{Layers: 3, Width: 16, Heads: 2, Inner: 24, VocabSize: 40, Positions: 12})
			if err != nil {
				t.Fatal(err)
			}
			if err := nn.Load(m, view, nn.LoadOptions{}); err == nil ||
				!strings.Contains(err.Error(), strings.TrimPrefix(name, "model.")) {
				t.Errorf("%s: got %v, want its name", name, err)
			}
			m.Free()
		}
	})
}

// An image's logits must not depend on the batch that it comes in, not by one bit: captions are compared with ==. The
// widths are the original's own.
func TestLogitsDoNotDependOnTheBatch(t *testing.T) {
	torchtest.Do(t, func() {
		m, err := New(Config{Layers: 1, Width: 512, Heads: 8, Inner: 512, VocabSize: 2000, Positions: 8})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Free()
		for _, p := range nn.State(m) {
			nn.Normal(p.Tensor, 0.05)
		}
		nn.Constant(m.Norm.RunningVar, 1)
		d := m.Decoder()
		defer d.Free()
		memory := torch.Randn(torch.Float32, torch.CPU, 37, 1, 512)
		run := func(from, n int) [][]float32 {
			s, err := d.Start(memory.Narrow(0, int64(from), int64(n)), n, 1, 4)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Free()
			var out [][]float32
			var parents []int32
			for step := range 4 {
				tokens := make([]int32, n)
				for r := range tokens {
					tokens[r] = int32((from+r)*31+step*7) % 2000
				}
				logits, err := s.Logits(parents, tokens)
				if err != nil {
					t.Fatal(err)
				}
				out, parents = append(out, torch.Slice[float32](logits)), own(n)
			}
			return out
		}
		all := run(0, 37)
		for _, part := range [][2]int{{0, 1}, {5, 2}, {20, 17}} {
			for step, got := range run(part[0], part[1]) {
				if want := all[step][part[0]*2000 : (part[0]+part[1])*2000]; !slices.Equal(got, want) {
					t.Errorf(
						"rows %d to %d, step %d: other bits than in a batch of 37",
						part[0],
						part[0]+part[1]-1,
						step,
					)
				}
			}
		}
	})
}
