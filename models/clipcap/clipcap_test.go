package clipcap

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"captioner/models/decode"
	"captioner/models/family"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/torch/torchtest"
	"captioner/weights"
)

func TestMain(m *testing.M) { torchtest.OneThread(m) }

var mappings = []Mapping{Linear, MLP, Transformer}

// load makes the model of a fixture on dev, by the sizes of its weights.
func load(t *testing.T, src weights.Source, dev torch.Device) *Model {
	t.Helper()
	view, err := Keys(src)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ConfigOf(view)
	if err != nil {
		t.Fatal(err)
	}
	c.GPT2.Heads = 1
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ignore := func(name string) bool { return strings.HasPrefix(name, "want.") }
	if err := m.Load(view, nn.LoadOptions{Device: dev, Ignore: ignore}); err != nil {
		m.Free()
		t.Fatal(err)
	}
	return m
}

// Mapper, prepared mapper and the texts behind its prefix, a token a step, give what ClipCap's own code gives.
func TestMatchesClipCap(t *testing.T) {
	for _, mapping := range mappings {
		t.Run(string(mapping), func(t *testing.T) {
			src := torchtest.Fixture(t, "testdata/"+string(mapping)+".safetensors")
			torchtest.EachDevice(t, func(t *testing.T, dev torch.Device) {
				m := load(t, src, dev)
				defer m.Free()
				if m.Config.Mapping != mapping || m.Config.Image != 12 || m.Config.GPT2.Layers != 2 {
					t.Errorf("got the sizes %+v", m.Config)
				}
				x := torchtest.Get(t, src, "want.image").To(torch.Float32).ToDevice(dev)
				prefix := torchtest.Get(t, src, "want.prefix")
				torchtest.Close(t, "prefix", m.Prefix(x), prefix)
				d := m.Decoder(torch.Float32)
				defer d.Free()
				torchtest.Close(t, "prepared: prefix", d.Prefix(x), prefix)
				compareTexts(t, src, d, x)
				compareCaptions(t, src, d, x)
			})
		})
	}
}

func compareTexts(t *testing.T, src weights.Source, d *Decoder, x *torch.Tensor) {
	t.Helper()
	s, err := d.Start(x.Narrow(0, 0, 2), 2, 1, 6)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Free()
	logits := torchtest.Get(t, src, "want.logits").Narrow(0, 0, 2) // [2, P+5, V]
	tokens := torch.Slice[int64](torchtest.Get(t, src, "want.tokens"))
	fed := []int32{0, 0} // the first step feeds the prefix's last embedding
	var parents []int32
	for step := range int64(6) {
		got, err := s.Logits(parents, fed)
		if err != nil {
			t.Fatal(err)
		}
		torchtest.Close(t, "logits", got, logits.Select(1, logits.Dim(1)-6+step))
		if step < 5 {
			fed = []int32{int32(tokens[step]), int32(tokens[5+step])}
		}
		parents = []int32{0, 1}
	}
}

// compareCaptions searches by ClipCap's rule: greedily as generate2, and by beams as generate_beam.
func compareCaptions(t *testing.T, src weights.Source, d *Decoder, x *torch.Tensor) {
	t.Helper()
	var want []map[int][]int32 // of each image, by the beam's width
	if err := json.Unmarshal([]byte(src.Metadata()["captions"]), &want); err != nil {
		t.Fatal(err)
	}
	end, err := strconv.Atoi(src.Metadata()["end"])
	if err != nil {
		t.Fatal(err)
	}
	different := map[string]bool{}
	for _, beam := range []int{1, 2, 3, 5} {
		o := decode.DefaultOptions()
		o.Rule, o.Beam, o.MaxLen, o.LengthPenalty, o.NoRepeatNGram = decode.ClipCap, beam, 20, 0, 0
		o.BOS, o.EOS = 0, int32(end)
		got, err := family.Search(writer{d}, x.Unsqueeze(1), len(want), o)
		if err != nil {
			t.Fatal(err)
		}
		for i := range want {
			if !slices.Equal(got[i][0].Tokens, want[i][beam]) {
				t.Errorf("image %d, beam %d: got %v, want %v", i, beam, got[i][0].Tokens, want[i][beam])
			}
			different[fmt.Sprint(want[i][beam])] = true
		}
	}
	if len(different) < 8 {
		t.Errorf("got %d different captions, want 8 or more", len(different))
	}
}

func TestRefuses(t *testing.T) {
	src, err := weights.NewMemory(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Keys(src); err == nil || !strings.Contains(err.Error(), mark) {
		t.Errorf("keys of nothing: got %v", err)
	}
	good := small(t)
	for name, change := range map[string]func(*Config){
		"no mapping":         func(c *Config) { c.Mapping = "" },
		"no prefix":          func(c *Config) { c.Prefix = 0 },
		"a prefix too long":  func(c *Config) { c.Prefix = 48 },
		"no channels":        func(c *Config) { c.Image = 0 },
		"no inner channels":  func(c *Config) { c.Inner = 0 },
		"no layers of GPT-2": func(c *Config) { c.GPT2.Layers = 0 },
	} {
		c := good
		change(&c)
		if err := c.check(); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

// small is the sizes of the fixture with an MLP.
func small(t *testing.T) Config {
	t.Helper()
	view, err := Keys(torchtest.Fixture(t, "testdata/mlp.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := ConfigOf(view)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
