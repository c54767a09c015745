package gpt2

import (
	"slices"
	"strings"
	"testing"

	"captioner/models/batch"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/torch/torchtest"
	"captioner/weights"
)

func TestPublishedSizes(t *testing.T) {
	for _, tt := range []struct {
		name              string
		config            Config
		parameters, cross int64 // without and with cross-attention, as PyTorch counts them
	}{
		{"distilgpt2", DistilGPT2(), 81912576, 96096000}, {"gpt2", GPT2(), 124439808, 152806656}, {
			"gpt2-medium",
			GPT2Medium(),
			354823168,
			455633920,
		},
		{"gpt2-large", GPT2Large(), 774030080, 1010236160}, {"gpt2-xl", GPT2XL(), 1557611200, 2049592000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			torchtest.Do(t, func() {
				for _, cross := range []bool{false, true} {
					c, want := tt.config, tt.parameters
					if c.CrossAttention = cross; cross {
						want = tt.cross
					}
					m, err := New(c)
					if err != nil {
						t.Fatal(err)
					}
					if got := nn.Count(m); got != want {
						t.Errorf("parameters, cross-attention %v: got %d, want %d", cross, got, want)
					}
					m.Free()
				}
			})
		})
	}
}

// layouts say how a name of the fixture's model ("transformer.…", "lm_head.weight") stands in files of that kind; ""
// for not at all.
var layouts = map[string]func(string) string{
	"GPT2LMHeadModel": func(name string) string { return name },
	"GPT2Model": func(name string) string {
		name, _ = strings.CutPrefix(name, "transformer.")
		if name == "lm_head.weight" {
			return ""
		}
		return name
	},
	"clip-text-decoder":         func(name string) string { return "state_dict.language_model." + name },
	"VisionEncoderDecoderModel": func(name string) string { return "decoder." + name },
}

// relaid shows the fixture's model in a layout, in the company of what such files hold beside it.
func relaid(t *testing.T, src weights.Source, layout func(string) string, keep func(string) bool) weights.Source {
	t.Helper()
	var tensors []weights.NamedTensor
	for _, name := range src.Names() {
		inner, ok := strings.CutPrefix(name, "model.")
		if !ok || !keep(inner) || layout(inner) == "" {
			continue
		}
		n, err := src.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		n.Name = layout(inner)
		tensors = append(tensors, n)
	}
	for _, mask := range []string{
		"transformer.h.0.attn.bias",
		"transformer.h.0.attn.masked_bias",
		"transformer.h.1.crossattention.bias",
	} {
		if name := layout(mask); keep(mask) {
			tensors = append(
				tensors,
				weights.NamedTensor{Name: name, DType: weights.Bool, Shape: []int64{1, 1, 1, 1}, Data: []byte{1}},
			)
		}
	}
	m, err := weights.NewMemory(tensors, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestKeysOfEveryLayout(t *testing.T) {
	src := torchtest.Fixture(t, fixture)
	want, err := ParseConfig([]byte(src.Metadata()["config"]))
	if err != nil {
		t.Fatal(err)
	}
	for name, layout := range layouts {
		for _, cross := range []bool{true, false} {
			t.Run(name+map[bool]string{true: "/cross", false: "/plain"}[cross], func(t *testing.T) {
				keep := func(name string) bool {
					return cross ||
						!strings.Contains(name, "crossattention") && !strings.Contains(name, "ln_cross_attn")
				}
				view, err := Keys(relaid(t, src, layout, keep))
				if err != nil {
					t.Fatal(err)
				}
				c, err := ConfigOf(view)
				if err != nil {
					t.Fatal(err)
				}
				wanted := GPT2()
				wanted.VocabSize, wanted.Positions, wanted.Width = want.VocabSize, want.Positions, want.Width
				wanted.Layers, wanted.Heads = want.Layers, 0
				if wanted.CrossAttention = cross; c != wanted {
					t.Errorf("sizes: got %+v, want %+v", c, wanted)
				}
				c.Heads = want.Heads // the fixture's are narrower than 64
				torchtest.Do(t, func() {
					m, err := New(c)
					if err != nil {
						t.Fatal(err)
					}
					defer m.Free()
					if err := m.Load(view, nn.LoadOptions{}); err != nil {
						t.Fatal(err)
					}
					b, err := batch.Pack(rows(t, src), torch.CPU)
					if err != nil {
						t.Fatal(err)
					}
					logits, memory := "logits.no_memory", (*torch.Tensor)(nil)
					if cross {
						logits, memory = "logits", torchtest.Get(t, src, "memory")
					}
					torchtest.Close(
						t,
						logits,
						m.Forward(b, memory, false),
						torchtest.Get(t, src, logits).Flatten(0, 1).IndexSelect(0, b.Index),
					)
				})
			})
		}
	}
}

func TestKeysRefuse(t *testing.T) {
	one := func(name string, shape ...int64) weights.NamedTensor {
		n := int64(4)
		for _, d := range shape {
			n *= d
		}
		return weights.NamedTensor{Name: name, DType: weights.F32, Shape: shape, Data: make([]byte, n)}
	}
	source := func(tensors ...weights.NamedTensor) weights.Source {
		m, err := weights.NewMemory(tensors, nil)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	if _, err := Keys(source(one("newte.weight", 2, 2))); err == nil ||
		!strings.Contains(err.Error(), `"transformer.wte.weight"`) {
		t.Errorf("another model: got %v", err)
	}
	view, err := Keys(source(one("wte.weight", 2, 2), one("wpe.weight", 2), one("h.0.mlp.c_fc.weight", 2, 8)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ConfigOf(view); err == nil || !strings.Contains(err.Error(), "wpe.weight") {
		t.Errorf("a table of one dimension: got %v", err)
	}
	if !slices.Contains(view.Names(), "transformer.h.0.mlp.c_fc.weight") {
		t.Errorf("names: got %q", view.Names())
	}
}
