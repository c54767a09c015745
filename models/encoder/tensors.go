package encoder

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"captioner/weights"
)

// Owns says whether a tensor of a model file is its encoder's, by its name.
func Owns(name string) bool { return strings.HasPrefix(name, Prefix) }

// outside says whether a tensor of a model file is none of its encoder's.
func outside(name string) bool { return !Owns(name) }

// Compact stores a matrix in float16 and leaves a vector (bias, norm, statistic) in float32, with memory of its own:
// the types of a model file.
func Compact(t weights.NamedTensor) (weights.NamedTensor, error) {
	d := weights.F32
	if len(t.Shape) >= 2 {
		d = weights.F16
	}
	c, err := t.Convert(d)
	c.Data, c.Held = append([]byte(nil), c.Data...), false
	return c, err
}

// WeightsSum is the SHA-256 of those of the tensors that are an encoder's weights, as they are stored.
func WeightsSum(tensors []weights.NamedTensor) string {
	h := sha256.New()
	for _, n := range tensors {
		if outside(n.Name) {
			continue
		}
		fmt.Fprintf(h, "%s %v %v\n", n.Name, n.DType, n.Shape)
		h.Write(n.Data)
	}
	return hex.EncodeToString(h.Sum(nil))
}
