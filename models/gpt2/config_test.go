package gpt2

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"captioner/models/batch"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/torch/torchtest"
	"captioner/weights"
)

func TestParseConfig(t *testing.T) {
	c, err := ParseConfig([]byte(`{"n_layer": 6, "n_inner": null, "attn_pdrop": 0, "add_cross_attention": true}`))
	want := DistilGPT2()
	want.AttentionDrop, want.CrossAttention = 0, true
	if err != nil || c != want {
		t.Errorf("got %+v, %v, want %+v", c, err, want)
	}
	for _, tt := range []struct{ json, want string }{
		{
			`{"n_head": 7, "n_layer": 0, "resid_pdrop": 1}`,
			"n_layer: found 0, want 1 or more\nn_embd: found 768, want a multiple of n_head 7\nresid_pdrop: found 1",
		},
		{`{"activation_function": "relu"}`, `activation_function: found "relu", want "gelu_new" or "gelu"`},
		{`{"scale_attn_by_inverse_layer_idx": true}`, "scale_attn_by_inverse_layer_idx is true, want false"},
		{`{"scale_attn_weights": false}`, "scale_attn_weights is false, want true"},
		{`{"tie_word_embeddings": false}`, "tie_word_embeddings is false, want true"},
		{`{"n_embd": "wide"}`, "n_embd"},
		{`[`, "gpt2 config: "},
	} {
		if _, err := ParseConfig([]byte(tt.json)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q in it", tt.json, err, tt.want)
		}
	}
}

// FuzzParseConfig: whatever the bytes, an error or a shape that can be built.
func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(`{"n_embd": 16, "n_head": 2, "n_inner": null}`))
	f.Add([]byte(`{"layer_norm_epsilon": 1e-400, "resid_pdrop": -0}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := ParseConfig(b); err == nil &&
			(c.headSize() < 1 || c.headSize()*c.Heads != c.Width || c.InnerWidth() < 1) {
			t.Errorf("got %+v without an error", c)
		}
	})
}

func TestLoadIsStrict(t *testing.T) {
	src := torchtest.Fixture(t, fixture)
	var all []weights.NamedTensor
	for _, name := range src.Names() {
		if key, ok := strings.CutPrefix(name, "model."); ok {
			x, err := src.Tensor(name)
			if err != nil {
				t.Fatal(err)
			}
			x.Name = key
			all = append(all, x)
		}
	}
	old := weights.NamedTensor{
		Name:  "transformer.h.0.attn.bias",
		DType: weights.U8,
		Shape: []int64{1},
		Data:  []byte{1},
	} // a mask of old versions
	other := all[0]
	other.Name, other.Data = "lm_head.weight", make([]byte, len(all[0].Data))
	without := func(name string) []weights.NamedTensor {
		return slices.DeleteFunc(slices.Clone(all), func(x weights.NamedTensor) bool { return x.Name == name })
	}
	for _, tt := range []struct {
		name    string
		tensors []weights.NamedTensor
		want    string
	}{
		{"as it is", all, ""},
		{"with a mask of old versions", append(slices.Clone(all), old), ""},
		{"one missing", without("transformer.ln_f.bias"), `1 missing: "transformer.ln_f.bias"`},
		{"one too many", append(slices.Clone(all), weights.NamedTensor{
			Name:  "transformer.x",
			DType: weights.U8,
			Shape: []int64{0},
		}),
			`1 unexpected: "transformer.x"`},
		{"an output layer of its own", append(without("lm_head.weight"), other),
			`tensor "lm_head.weight" differs from "transformer.wte.weight"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := weights.NewMemory(tt.tensors, nil)
			if err != nil {
				t.Fatal(err)
			}
			torchtest.Do(t, func() {
				c, err := ParseConfig([]byte(src.Metadata()["config"]))
				if err != nil {
					t.Fatal(err)
				}
				model, err := New(c)
				if err != nil {
					t.Fatal(err)
				}
				defer model.Free()
				err = model.Load(m, nn.LoadOptions{Own: true})
				if tt.want == "" && err != nil ||
					tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
					t.Errorf("got %v, want %q", err, tt.want)
				}
			})
		})
	}
}

func TestForwardRefuses(t *testing.T) {
	c := Config{VocabSize: 9, Positions: 4, Width: 4, Layers: 1, Heads: 2, Activation: "gelu_new", Epsilon: 1e-5}
	for _, tt := range []struct {
		name   string
		tokens int
		memory []int64
		cross  bool
		want   string
	}{
		{"text too long", 6, nil, true, "text of 5 tokens, want at most n_positions 4"},
		{"memory of another width", 3, []int64{1, 2, 5}, true, "memory of shape [1 2 5] for 3 rows"},
		{"images that do not divide the rows", 3, []int64{2, 2, 4}, true, "memory of shape [2 2 4] for 3 rows"},
		{"memory without cross-attention", 3, []int64{1, 2, 4}, false, "memory for a model without cross-attention"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := torch.Do(t.Context(), func() error {
				c := c
				c.CrossAttention = tt.cross
				m, err := New(c)
				if err != nil {
					return err
				}
				defer m.Free()
				m.Init()
				b, err := batch.Pack([][]int32{make([]int32, tt.tokens), {0, 1}, {0, 1}}, torch.CPU)
				if err != nil {
					return err
				}
				var memory *torch.Tensor
				if tt.memory != nil {
					memory = torch.Zeros(torch.Float32, torch.CPU, tt.memory...)
				}
				m.Forward(b, memory, false)
				return nil
			})
			var op *torch.OpError
			if !errors.As(err, &op) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
	for _, rows := range [][][]int32{nil, {{1}}} {
		if _, err := batch.Pack(rows, torch.CPU); err == nil {
			t.Errorf("pack %v: got no error", rows)
		}
	}
}

func ExampleParseConfig() {
	c, err := ParseConfig(
		[]byte(
			`{"vocab_size": 3200, "n_embd": 256, "n_head": 4, "n_layer": 3, "n_positions": 32, "add_cross_attention": true}`,
		),
	)
	fmt.Println(c.Width, c.Layers, c.Activation, err)
	_, err = ParseConfig([]byte(`{"n_embd": 250, "n_head": 4}`))
	fmt.Println(err)
	// Output:
	// 256 3 gelu_new <nil>
	// gpt2 config: n_embd: found 250, want a multiple of n_head 4
}
