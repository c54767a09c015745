package swin

import (
	"strings"
	"testing"

	"captioner/models/encoder"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/torch/torchtest"
)

// small is a network whose maps for images of 42 pixels are of 11 and of 6 positions a side.
func small() Config {
	c := Tiny()
	c.Width, c.Depths, c.Heads, c.Window, c.MLP = 32, []int{2, 2}, []int64{2, 4}, 4, 2
	return c
}

// What a config.json says beside weights that say otherwise, or that is not known, is refused by its name.
func TestConfigureRefuses(t *testing.T) {
	for _, c := range []struct{ name, config, want string }{
		{"another network", `{"model_type": "swinv2"}`, "swinv2"},
		{"gray images", `{"num_channels": 1}`, "num_channels"},
		{"absolute positions", `{"use_absolute_embeddings": true}`, "use_absolute_embeddings"},
		{"an activation", `{"hidden_act": "mish"}`, "hidden_act"},
		{"patches", `{"patch_size": 8}`, "patch_size"},
		{"a width", `{"embed_dim": 96}`, "embed_dim"},
		{"blocks", `{"depths": [2, 6]}`, "depths"},
		{"stages", `{"depths": [2, 2, 2]}`, "depths"},
		{"heads", `{"num_heads": [4, 4]}`, "num_heads"},
		{"windows", `{"window_size": 7}`, "window_size"},
		{"biases", `{"qkv_bias": false}`, "qkv_bias"},
		{"inner widths", `{"mlp_ratio": 4}`, "mlp_ratio"},
		{"an epsilon", `{"layer_norm_eps": -1}`, "layer_norm_eps"},
		{"wide images", `{"image_size": [224, 448]}`, "image_size"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := `{"embed_dim": 32, "depths": [2, 2], "num_heads": [2, 4], "window_size": 4, "mlp_ratio": 2, ` +
				c.config[1:]
			found := small()
			if _, err := found.Configure([]byte(config)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error about %s", err, c.want)
			}
		})
	}
}

// Images whose maps are smaller than a window, which transformers does not run, are refused before any is read.
func TestShapeRefusesSmallImages(t *testing.T) {
	for side, want := range map[int64]int64{16: 0, 24: 0, 25: 16, 42: 36, 44: 36} {
		positions, channels, err := small().Shape(encoder.Memory{Kind: encoder.Tokens}, side)
		if positions != want || (err == nil) != (want > 0) || want > 0 && channels != 64 {
			t.Errorf("images of %d pixels: got %d positions of %d and %v, want %d", side, positions, channels, err, want)
		}
	}
}

// The features of an image must not depend on the batch that it comes in, not by one bit: captions are compared with
// ==.
func TestEncoderDoesNotDependOnTheBatch(t *testing.T) {
	for _, d := range []torch.DType{torch.Float32, torch.BFloat16, torch.Int8} {
		t.Run(d.String(), func(t *testing.T) {
			torchtest.Do(t, func() {
				m, err := New(small())
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range nn.State(m) {
					nn.Normal(p.Tensor, 0.1)
				}
				e := m.Encoder(d)
				defer e.Free()
				m.Free()
				x := torch.Randn(torch.Float32, torch.CPU, 7, 3, 42, 42)
				whole := e.Tokens(x)
				for _, batch := range []int64{1, 3, 4} {
					for from := int64(0); from+batch <= x.Dim(0); from += batch {
						got, want := e.Tokens(x.Narrow(0, from, batch)), whole.Narrow(0, from, batch)
						torchtest.CloseTo(t, "features", got, want, torchtest.Tolerance{})
					}
				}
			})
		})
	}
}
