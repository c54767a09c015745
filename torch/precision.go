package torch

import "slices"

// Precision is a number type that a model runs or learns in, as people name it.
type Precision struct {
	Name  string // this program's own name
	DType DType
	// Loose is float16 where the device is quick in it, and what comes near elsewhere: Lightning's "16".
	Loose bool

	others []string // the names of Lightning and PyTorch
}

// precisions is the table of all names.
var precisions = []Precision{
	{Name: "fp32", DType: Float32, others: []string{"32", "32-true", "float32"}},
	{Name: "bf16", DType: BFloat16, others: []string{"bf16-mixed", "bf16-true", "bfloat16"}},
	{Name: "16", DType: Float16, Loose: true, others: []string{"16-mixed", "16-true"}},
	{Name: "fp16", DType: Float16, others: []string{"float16", "half"}},
	{Name: "int8", DType: Int8},
}

// ParsePrecision finds a number type by any of its names.
func ParsePrecision(name string) (Precision, bool) {
	i := slices.IndexFunc(precisions, func(p Precision) bool { return p.Name == name || slices.Contains(p.others, name) })
	if i < 0 {
		return Precision{}, false
	}
	return precisions[i], true
}

// On is the type on a device.
func (p Precision) On(dev Device) DType {
	if p.Loose && !dev.IsCUDA() {
		return BFloat16
	}
	return p.DType
}
