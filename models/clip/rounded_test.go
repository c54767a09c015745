package clip

import (
	"testing"

	"captioner/weights"
)

func TestRounded(t *testing.T) {
	for name, want := range map[string]weights.DType{
		"visual.conv1.weight":                                 weights.F16,
		"encoder.visual.conv1.weight":                         weights.F16,
		"visual.proj":                                         weights.F16,
		"visual.class_embedding":                              weights.F32,
		"visual.positional_embedding":                         weights.F32,
		"visual.ln_pre.weight":                                weights.F32,
		"visual.transformer.resblocks.0.ln_1.weight":          weights.F32,
		"visual.transformer.resblocks.11.attn.in_proj_weight": weights.F16,
		"visual.transformer.resblocks.11.attn.in_proj_bias":   weights.F16,
		"visual.transformer.resblocks.11.attn.out_proj.bias":  weights.F16,
		"visual.transformer.resblocks.11.mlp.c_fc.weight":     weights.F16,
		"visual.layer1.0.conv2.weight":                        weights.F16,
		"visual.layer1.0.downsample.0.weight":                 weights.F16,
		"visual.layer1.0.downsample.1.weight":                 weights.F32,
		"visual.layer1.0.bn2.running_var":                     weights.F32,
		"visual.attnpool.positional_embedding":                weights.F32,
		"visual.attnpool.c_proj.bias":                         weights.F16,
		"transformer.resblocks.0.attn.in_proj_weight":         weights.F32, // the text tower is not used
	} {
		x, err := weights.FromFloat32s(name, weights.F32, []int64{1}, []float32{1.0001})
		if err != nil {
			t.Fatal(err)
		}
		src, err := weights.NewMemory([]weights.NamedTensor{x}, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Rounded(src).Tensor(name)
		if err != nil || got.DType != want {
			t.Errorf("%s: got %v (%v), want %v", name, got.DType, err, want)
		}
	}
}
