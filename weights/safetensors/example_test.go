package safetensors_test

import (
	"bytes"
	"fmt"

	"captioner/weights"
	"captioner/weights/safetensors"
)

func Example() {
	bias, err := weights.FromFloat32s("bias", weights.F16, []int64{3}, []float32{0.5, -1, 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	var file bytes.Buffer
	if err := safetensors.Write(&file, []weights.NamedTensor{bias}, map[string]string{"made": "by hand"}); err != nil {
		fmt.Println(err)
		return
	}

	f, err := safetensors.Parse(file.Bytes())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close()
	for _, name := range f.Names() {
		t, _ := f.Tensor(name)
		values, _ := t.Float32s()
		fmt.Println(t.Name, t.DType, t.Shape, values, f.Metadata()["made"])
	}
	// Output: bias F16 [3] [0.5 -1 2] by hand
}
