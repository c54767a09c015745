package torch_test

import (
	"testing"

	"captioner/torch"
)

func TestParsePrecision(t *testing.T) {
	for name, want := range map[string]struct {
		own string
		cpu torch.DType
	}{
		"fp32": {"fp32", torch.Float32}, "32": {"fp32", torch.Float32}, "32-true": {"fp32", torch.Float32},
		"bf16": {"bf16", torch.BFloat16}, "bf16-mixed": {"bf16", torch.BFloat16}, "int8": {"int8", torch.Int8},
		"16": {"16", torch.BFloat16}, "16-mixed": {"16", torch.BFloat16}, "fp16": {"fp16", torch.Float16},
		"half": {"fp16", torch.Float16},
	} {
		p, ok := torch.ParsePrecision(name)
		if !ok || p.Name != want.own || p.On(torch.CPU) != want.cpu {
			t.Errorf("%s: got %q, %v on the CPU, want %q, %v", name, p.Name, p.On(torch.CPU), want.own, want.cpu)
		}
	}
	for _, name := range []string{"", "8", "auto", "FP32"} {
		if p, ok := torch.ParsePrecision(name); ok {
			t.Errorf("%q: got %q, want it unknown", name, p.Name)
		}
	}
}
