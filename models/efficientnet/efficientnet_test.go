package efficientnet

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"captioner/torch"
	"captioner/torch/nn"
	"captioner/torch/torchtest"
	"captioner/weights"
)

const fixture = "testdata/tiny.safetensors"

// load makes the fixture's net on dev.
func load(t *testing.T, src weights.Source, dev torch.Device) *Model {
	t.Helper()
	var c Config
	if err := json.Unmarshal([]byte(src.Metadata()["config"]), &c); err != nil {
		t.Fatal(err)
	}
	c.Resolution = 37
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	other := func(name string) bool { return !strings.HasPrefix(name, "model.") }
	if err := m.Load(src, nn.LoadOptions{Prefix: "model.", Ignore: other, Device: dev}); err != nil {
		t.Fatal(err)
	}
	return m
}

// compare is a trace that checks maps against the fixture and notes them in seen. In bfloat16 it looks at the whole
// map, not at each element: behind many layers of few channels single elements are far off.
func compare(t *testing.T, src weights.Source, seen map[string]bool, d torch.DType) func(string, *torch.Tensor) {
	return func(name string, got *torch.Tensor) {
		seen["map."+name] = true
		torchtest.CloseIn(t, d, .2, name, got, torchtest.Get(t, src, "map."+name))
	}
}

func checkSeen(t *testing.T, src weights.Source, seen map[string]bool, but string) {
	t.Helper()
	for _, name := range src.Names() {
		if strings.HasPrefix(name, "map.") && name != but && !seen[name] {
			t.Errorf("%s: not computed", name)
		}
	}
}

func TestModelMatchesPyTorch(t *testing.T) {
	src := torchtest.Fixture(t, fixture)
	torchtest.EachDevice(t, func(t *testing.T, dev torch.Device) {
		m := load(t, src, dev)
		defer m.Free()
		seen := map[string]bool{}
		m.trace = compare(t, src, seen, torch.Float32)
		torchtest.Close(
			t,
			"logits",
			m.Classify(torchtest.Get(t, src, "image").ToDevice(dev)),
			torchtest.Get(t, src, "logits"),
		)
		checkSeen(t, src, seen, "")
	})
}

func TestEncoderMatchesPyTorch(t *testing.T) {
	src := torchtest.Fixture(t, fixture)
	for _, d := range []torch.DType{torch.Float32, torch.BFloat16} {
		t.Run(d.String(), func(t *testing.T) {
			torchtest.EachDevice(t, func(t *testing.T, dev torch.Device) {
				m := load(t, src, dev)
				e := m.Encoder(d)
				defer e.Free()
				m.Free()
				seen := map[string]bool{}
				e.trace = compare(t, src, seen, d)
				got := e.Grid(torchtest.Get(t, src, "image").ToDevice(dev))
				checkSeen(t, src, seen, "map.head")
				last := torchtest.Get(t, src, "map.blocks.5")
				want := last.Permute(
					0,
					2,
					3,
					1,
				).Reshape(
					last.Dim(0),
					last.Dim(2)*last.Dim(3),
					last.Dim(1),
				) // [B, h w, C]
				torchtest.CloseIn(t, d, .2, "grid", got, want)
			})
		})
	}
}

// The features of an image must not depend on the batch that it comes in, not by one bit: captions are compared with
// ==.
func TestEncoderDoesNotDependOnTheBatch(t *testing.T) {
	for _, d := range []torch.DType{torch.Float32, torch.BFloat16} {
		t.Run(d.String(), func(t *testing.T) {
			torchtest.Do(t, func() {
				c := Lite0().WithoutHead()
				m, err := New(c)
				if err != nil {
					t.Fatal(err)
				}
				randomise(m)
				e := m.Encoder(d)
				defer e.Free()
				m.Free()
				torch.Seed(2)
				x := torch.Randn(torch.Float32, torch.CPU, 11, 3, 96, 96)
				whole := e.Grid(x)
				for _, batch := range []int64{1, 3, 4, 5} {
					for from := int64(0); from+batch <= x.Dim(0); from += batch {
						torchtest.CloseTo(
							t,
							"grid",
							e.Grid(x.Narrow(0, from, batch)),
							whole.Narrow(0, from, batch),
							torchtest.Tolerance{},
						)
					}
				}
			})
		})
	}
}

// randomise gives a net weights that keep the size of its maps.
func randomise(m *Model) {
	torch.Seed(1)
	for _, p := range nn.State(m) {
		switch {
		case strings.HasSuffix(p.Name, "running_mean"), strings.HasSuffix(p.Name, "bias"):
			nn.Normal(p.Tensor, 0.1)
		case p.Tensor.Rank() == 1:
			nn.Constant(p.Tensor, 1)
		default:
			fan := float64(p.Tensor.Numel() / p.Tensor.Dim(0))
			nn.Normal(p.Tensor, math.Sqrt(2/fan))
		}
	}
}

func TestLiteConfigs(t *testing.T) {
	for _, tt := range []struct {
		name             string
		config           Config
		parameters, side int64
		channels         int64
		blocks           int
	}{
		// parameters as the family's authors count them: 4.652008M, 5.416680M, 6.092072M, 8.197096M, 13.006568M
		{"lite0", Lite0(), 4652008, 7, 320, 16},
		{"lite1", Lite1(), 5416680, 8, 320, 21},
		{"lite2", Lite2(), 6092072, 9, 352, 21},
		{"lite3", Lite3(), 8197096, 9, 384, 24},
		{"lite4", Lite4(), 13006568, 10, 448, 30},
	} {
		t.Run(tt.name, func(t *testing.T) {
			torchtest.Do(t, func() {
				m, err := New(tt.config)
				if err != nil {
					t.Fatal(err)
				}
				defer m.Free()
				if got := nn.Count(m); got != tt.parameters {
					t.Errorf("parameters: got %d, want %d", got, tt.parameters)
				}
				if got := tt.config.GridSide(tt.config.Resolution); got != tt.side {
					t.Errorf("side of the grid: got %d, want %d", got, tt.side)
				}
				if got := tt.config.GridChannels(); got != tt.channels {
					t.Errorf("channels of the grid: got %d, want %d", got, tt.channels)
				}
				if got := len(m.Blocks); got != tt.blocks {
					t.Errorf("blocks: got %d, want %d", got, tt.blocks)
				}
			})
		})
	}
}

func TestConfigValidate(t *testing.T) {
	bad := Config{
		Resolution: 1,
		Stem:       1,
		Stages:     []Stage{{Repeats: 0, Kernel: 2, Stride: 3, Expand: 1, Out: 1}},
		Classes:    4,
	}
	err := bad.Validate()
	for _, want := range []string{
		"stage 0: repeats: found 0",
		"stage 0: kernel: found 2",
		"stage 0: stride: found 3",
		"no classes without a head",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
	if err := Lite2().WithoutHead().Validate(); err != nil {
		t.Error(err)
	}
}

func TestLoadWithoutHead(t *testing.T) {
	src := torchtest.Fixture(t, fixture)
	torchtest.Do(t, func() {
		whole := load(t, src, torch.CPU)
		defer whole.Free()
		headless, err := New(whole.Config.WithoutHead())
		if err != nil {
			t.Fatal(err)
		}
		defer headless.Free()
		other := func(name string) bool { return !strings.HasPrefix(name, "model.") }
		if err := headless.Load(src, nn.LoadOptions{Prefix: "model.", Ignore: other}); err != nil {
			t.Fatal(err)
		}
		x := torchtest.Get(t, src, "image")
		torchtest.CloseTo(t, "grid", headless.Grid(x), whole.Grid(x), torchtest.Tolerance{})
	})
}
