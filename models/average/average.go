// Package average takes the mean of captioners: of the weights of several model files of one shape.
package average

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"captioner/models/checkpoint"
	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/weights"
	"captioner/weights/plural"
)

// Models writes the mean of the weights of several captioners of one shape and one vocabulary as a model file at out:
// checkpoints of one run, or runs that began with the same weights (Wortsman et al. 2022). The card is that of the
// first, without its scores, which are no longer true.
func Models(paths []string, out, command string) error {
	if len(paths) < 2 {
		return errors.New("average models: found fewer than two, want two or more")
	}
	var files []*checkpoint.Checkpoint
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	for _, p := range paths {
		f, err := checkpoint.Open(p)
		if err != nil {
			return err
		}
		files = append(files, f)
		if err := alike(files[0], f); err != nil {
			return fmt.Errorf("average models: %w", err)
		}
	}
	var tensors []weights.NamedTensor
	for _, name := range files[0].Source().Names() {
		n, err := mean(files, name)
		if err != nil {
			return fmt.Errorf("average models: %w", err)
		}
		tensors = append(tensors, n)
	}
	first := files[0]
	c, card := first.Config, first.Card
	card.Metrics, card.Decoding, card.Stages, card.Command = nil, "", nil, command
	for _, f := range files[1:] {
		if f.Config.Encoder.SHA256 != c.Encoder.SHA256 { // encoders that learnt: the mean is another one
			c.Encoder.SHA256 = encoder.WeightsSum(tensors)
			break
		}
	}
	return checkpoint.Write(out, c, first.Tokenizer, card, tensors)
}

// alike says why the weights of two files have no mean.
func alike(a, b *checkpoint.Checkpoint) error {
	shape := func(f *checkpoint.Checkpoint) []byte {
		c := f.Config
		c.Name, c.Encoder.SHA256, c.Decoding = "", "", family.Decoding{}
		c.Memory.Dropout = 0
		if d, ok := c.Decoder.(family.Trainable); ok {
			c.Decoder = d.WithDropout(family.Dropout{})
		}
		j, err := json.Marshal(c)
		if err != nil { // a struct of strings and numbers
			panic(err)
		}
		return j
	}
	if x, y := shape(a), shape(b); !bytes.Equal(x, y) {
		return fmt.Errorf("%q and %q are not of one shape: found %s and %s", a.Path, b.Path, x, y)
	}
	x, err := a.Tokenizer.JSON()
	if err != nil {
		return err
	}
	y, err := b.Tokenizer.JSON()
	if err != nil {
		return err
	}
	if !bytes.Equal(x, y) {
		return fmt.Errorf("%q and %q have different vocabularies, want one", a.Path, b.Path)
	}
	if x, y := len(a.Source().Names()), len(b.Source().Names()); x != y {
		return fmt.Errorf("%q has %s and %q has %d, want as many", a.Path, plural.Count(x, "tensor"), b.Path, y)
	}
	return nil
}

// mean is that of one tensor, in the type that the first file stores it in. What is the same in all files stays so to
// the bit: features that an encoder's frozen part gave before are those of the mean too.
func mean(files []*checkpoint.Checkpoint, name string) (weights.NamedTensor, error) {
	first, err := files[0].Source().Tensor(name)
	if err != nil {
		return first, err
	}
	same := true
	sum := make([]float64, 0)
	for _, f := range files {
		t, err := f.Source().Tensor(name)
		if err != nil {
			return t, fmt.Errorf("%q: %w", f.Path, err)
		}
		if !slices.Equal(t.Shape, first.Shape) {
			return t, fmt.Errorf("%q: %s: found shape %v, want %v", f.Path, name, t.Shape, first.Shape)
		}
		same = same && t.DType == first.DType && bytes.Equal(t.Data, first.Data)
		values, err := t.Float32s()
		if err != nil {
			return t, fmt.Errorf("%q: %s: %w", f.Path, name, err)
		}
		if len(sum) == 0 {
			sum = make([]float64, len(values))
		}
		for i, v := range values {
			sum[i] += float64(v)
		}
	}
	if same {
		return first, nil
	}
	out := make([]float32, len(sum))
	for i, v := range sum {
		out[i] = float32(v / float64(len(files)))
	}
	return weights.FromFloat32s(name, first.DType, first.Shape, out)
}
