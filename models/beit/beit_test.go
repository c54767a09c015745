package beit

import (
	"slices"
	"strings"
	"testing"

	"captioner/models/encoder"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/torch/torchtest"
	"captioner/weights"
)

// text is a folder of one config.json.
type text string

func (t text) Read(string) ([]byte, error) { return []byte(t), nil }

// small is a network of 4 rows of patches with all that it may have.
func small() Config {
	return Config{
		PatchSize: 8, Width: 48, Layers: 2, Heads: 3, MLP: 80, Grid: 4, Positions: true, Shared: true, Apart: true,
		LayerScale: true, MeanPooling: true, PoolNorm: true, Activation: "gelu", Epsilon: 1e-12,
	}
}

// What a config.json says beside weights that say otherwise, or that is not known, is refused by its name.
func TestConfigureRefuses(t *testing.T) {
	const good = `"hidden_size": 48, "num_hidden_layers": 2, "intermediate_size": 80, "num_attention_heads": 3, ` +
		`"image_size": 32, "patch_size": 8, "use_absolute_position_embeddings": true, ` +
		`"use_relative_position_bias": true, "use_shared_relative_position_bias": true`
	found := small()
	if side, err := found.Configure([]byte("{" + good + "}")); err != nil || side != 32 || found != small() {
		t.Fatalf("got %+v of %d pixels and %v, want the sizes of the weights", found, side, err)
	}
	for _, c := range []struct{ name, config, want string }{
		{"another network", `"model_type": "vit"`, "vit"},
		{"gray images", `"num_channels": 1`, "num_channels"},
		{"an activation", `"hidden_act": "mish"`, "hidden_act"},
		{"patches", `"patch_size": 16`, "patch_size"},
		{"no patch", `"patch_size": 0`, "patch_size"},
		{"images", `"image_size": 48`, "4 rows of patches"},
		{"wide images", `"image_size": [32, 64]`, "image_size"},
		{"a width", `"hidden_size": 96`, "hidden_size"},
		{"layers", `"num_hidden_layers": 3`, "num_hidden_layers"},
		{"inner widths", `"intermediate_size": 96`, "intermediate_size"},
		{"heads", `"num_attention_heads": 7`, "num_attention_heads"},
		{"positions", `"use_absolute_position_embeddings": false`, "use_absolute_position_embeddings"},
		{"tables", `"use_relative_position_bias": false`, "use_relative_position_bias"},
		{"a shared table", `"use_shared_relative_position_bias": false`, "use_shared_relative_position_bias"},
		{"mean pooling", `"use_mean_pooling": false`, "use_mean_pooling"},
		{"factors", `"layer_scale_init_value": 0`, "layer_scale_init_value"},
		{"an epsilon", `"layer_norm_eps": 1`, "layer_norm_eps"},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := small()
			_, err := found.Configure([]byte("{" + good + ", " + c.config + "}"))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error about %s", err, c.want)
			}
		})
	}
}

// A table whose rows are those of no square of patches is refused, and so is a network of other biases, a ViT.
func TestOpenRefuses(t *testing.T) {
	src := torchtest.Fixture(t, "testdata/layers.safetensors")
	open := func(change func(weights.NamedTensor) weights.NamedTensor) error {
		var all []weights.NamedTensor
		for _, name := range src.Names() {
			n, err := src.Tensor(name)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(name, "want.") {
				all = append(all, change(n))
			}
		}
		memory, err := weights.NewMemory(all, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = encoder.Table{Architecture()}.Open(memory, text("{}"), false, nil)
		return err
	}
	for _, c := range []struct {
		name, want string
		change     func(weights.NamedTensor) weights.NamedTensor
	}{
		{"a table of 51 rows", "51 rows", func(n weights.NamedTensor) weights.NamedTensor {
			if strings.HasSuffix(n.Name, tableSuffix) {
				n.Shape = []int64{51, 3}
				n.Data = n.Data[:51*3*2]
			}
			return n
		}},
		{"biases of keys", "no encoder", func(n weights.NamedTensor) weights.NamedTensor {
			n.Name = strings.Replace(n.Name, "0.lambda_1", "0.attention.attention.key.bias", 1)
			return n
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := open(c.change); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error about %s", err, c.want)
			}
		})
	}
}

func TestShape(t *testing.T) {
	class, mean, bare := small(), small(), small()
	class.MeanPooling, class.PoolNorm = false, false
	bare.PoolNorm = false
	for _, s := range []struct {
		name   string
		config Config
		kind   string
		side   int64
		want   int64 // positions; 0 is refused
	}{
		{"tokens", class, encoder.Tokens, 32, 17},
		{"patches of a larger image", class, encoder.Patches, 53, 37},
		{"a grid", class, encoder.Grid, 32, 16},
		{"the class token", class, encoder.PooledPadded, 32, 1},
		{"the mean", mean, encoder.PooledProjected, 32, 1},
		{"a mean without its norm", bare, encoder.PooledProjected, 32, 0},
		{"less than a patch", class, encoder.Tokens, 7, 0},
		{"far too many patches", class, encoder.Tokens, 1 << 40, 0},
	} {
		t.Run(s.name, func(t *testing.T) {
			positions, channels, err := s.config.Shape(encoder.Memory{Kind: s.kind}, s.side)
			if positions != s.want || (err == nil) != (s.want > 0) || s.want > 0 && channels != 48 {
				t.Errorf("got %d positions of %d and %v, want %d", positions, channels, err, s.want)
			}
		})
	}
}

// random is a small network of random weights in type d.
func random(t *testing.T, c Config, d torch.DType) *Encoder {
	t.Helper()
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Free()
	for _, p := range nn.State(m) {
		nn.Normal(p.Tensor, 0.3)
	}
	return m.Encoder(d)
}

// One vector of an image is that of transformers' pooler.
func TestPooled(t *testing.T) {
	torchtest.Do(t, func() {
		x := torch.Randn(torch.Float32, torch.CPU, 2, 3, 32, 32)
		c := small()
		e := random(t, c, torch.Float32)
		defer e.Free()
		patches := e.Tokens(x).Narrow(1, 1, 16)
		mean := patches.MeanDim(1, false)
		torchtest.Close(t, "the mean", e.Pooled(x), e.pool.Forward(mean, torch.Float32))
		c.MeanPooling, c.PoolNorm = false, false
		class := random(t, c, torch.Float32)
		defer class.Free()
		torchtest.Close(t, "the class token", class.Pooled(x), class.Tokens(x).Select(1, 0))
	})
}

// Images of other sizes come and go: what is kept for one size is of no other, and what is too large to be kept is made
// again.
func TestSizesInTurn(t *testing.T) {
	torchtest.Do(t, func() {
		e := random(t, small(), torch.Float32)
		defer e.Free()
		first := map[int64]*torch.Tensor{}
		for _, side := range []int64{32, 48, 40, 32, 48} {
			torch.Seed(side)
			got := e.Tokens(torch.Randn(torch.Float32, torch.CPU, 1, 3, side, side))
			if want := first[side]; want != nil {
				torchtest.CloseTo(t, "the same images", got, want, torchtest.Tolerance{})
			}
			first[side] = got
			for layer := range e.Config.Layers {
				torchtest.CloseTo(t, "a bias", e.biases.of(layer), e.biases.make(layer), torchtest.Tolerance{})
			}
		}
	})
}

// The features of an image must not depend on the batch that it comes in, not by one bit: captions are compared with
// ==.
func TestEncoderDoesNotDependOnTheBatch(t *testing.T) {
	for _, d := range []torch.DType{torch.Float32, torch.BFloat16, torch.Int8} {
		t.Run(d.String(), func(t *testing.T) {
			torchtest.Do(t, func() {
				e := random(t, small(), d)
				defer e.Free()
				x := torch.Randn(torch.Float32, torch.CPU, 19, 3, 48, 48)
				whole := e.Tokens(x)
				for _, batch := range []int64{1, 3, 4, 17} {
					for from := int64(0); from+batch <= x.Dim(0); from += batch {
						got, want := e.Tokens(x.Narrow(0, from, batch)), whole.Narrow(0, from, batch)
						torchtest.CloseTo(t, "features", got, want, torchtest.Tolerance{})
					}
				}
			})
		})
	}
}

// The table's row for two tokens, as transformers numbers them.
func TestApart(t *testing.T) {
	want := []int64{
		11, 9, 9, 9, 9,
		10, 4, 3, 1, 0,
		10, 5, 4, 2, 1,
		10, 7, 6, 4, 3,
		10, 8, 7, 5, 4,
	}
	if got := apart(2); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
