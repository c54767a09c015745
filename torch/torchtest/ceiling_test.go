package torchtest

import (
	"testing"

	"captioner/torch"
)

// BenchmarkCeiling says what products reach here: scripts/bench/families.py states its rates as a share of it.
func BenchmarkCeiling(b *testing.B) {
	for name, d := range map[string]torch.DType{"fp32": torch.Float32, "bf16": torch.BFloat16, "int8": torch.Int8} {
		b.Run(name, func(b *testing.B) {
			var rate float64
			Do(b, func() { rate = Ceiling(d) })
			for b.Loop() {
			}
			b.ReportMetric(rate, "GFLOP/s")
		})
	}
}
