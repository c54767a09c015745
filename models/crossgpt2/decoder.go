package crossgpt2

import (
	"errors"
	"fmt"
	"strings"

	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/models/gpt2"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
	"captioner/weights/mistakes"
)

// Family is the family as a row of the table of captioners. Its published checkpoints are of several formats, which
// package checkpoint opens.
func Family() family.Family {
	return family.Family{Name: "GPT-2 with cross-attention", Key: "decoder", Parse: family.Parse[Decoder]}
}

// Decoder is the sizes of the GPT-2.
type Decoder struct{ gpt2.Config }

var _ family.Decoder = Decoder{}

// Sizes of a captioner's GPT-2; false for a captioner of another family.
func Sizes(c family.Config) (gpt2.Config, bool) {
	d, ok := c.Decoder.(Decoder)
	return d.Config, ok
}

// Key is "decoder".
func (d Decoder) Key() string { return "decoder" }

// Sizes are the tokens of the vocabulary, the most tokens of a text, and the channels of a token.
func (d Decoder) Sizes() (vocabulary, positions, width int64) {
	return d.VocabSize, d.Positions, d.Width
}

// Validate reports everything that does not fit, in one error.
func (d Decoder) Validate(m encoder.Memory, architecture string) error {
	var wrong mistakes.List
	wrong.Check(m.Layers >= 0 && m.Layers <= 64 && (m.Layers == 0 || m.Heads >= 1 && d.Width%max(m.Heads, 1) == 0),
		"memory: found %d layers of %d heads, want 0 to 64 layers, and heads that divide the decoder's width %d", m.Layers,
		m.Heads, d.Width)
	wrong.Add(family.Padded(m, architecture, d.Width))
	if err := d.Config.Validate(); err != nil {
		wrong.Add(err)
	} else if !d.CrossAttention {
		wrong.Add(errors.New("decoder: found no cross-attention, want add_cross_attention"))
	}
	return errors.Join(wrong...)
}

// Load reads memory and decoder for inference in type dtype. The decoder's weights stay in the type and, on a CPU, in
// the memory of the file, so that no whole copy of them is made on the way to their layout.
func (d Decoder) Load(
	src weights.Source,
	m encoder.Memory,
	o nn.LoadOptions,
	dtype torch.DType,
) (family.Writer, error) {
	if err := d.matches(src); err != nil {
		return nil, err
	}
	model, err := newModel(d.Config, m)
	if err != nil {
		return nil, err
	}
	o.Stored = func(n string) bool { return strings.HasPrefix(n, family.DecoderPrefix) }
	if err := nn.Load(model, src, o); err != nil {
		model.Free()
		return nil, err
	}
	w := &Writer{model.Memory, model.Decoder.Decoder(dtype)}
	model.Decoder.Free() // w has what it needs of it
	return w, nil
}

// matches reports sizes that are not those of the weights, before memory is taken for them. What is missing from the
// weights is left for the load to report.
func (d Decoder) matches(src weights.Source) error {
	own, err := weights.Rename(src, weights.Prefix(family.DecoderPrefix, ""))
	if err != nil {
		return err
	}
	found, err := gpt2.ConfigOf(own)
	if err != nil {
		return nil
	}
	for _, size := range []struct {
		name        string
		said, found int64
	}{
		{"layers", int64(d.Layers), int64(found.Layers)},
		{"channels", d.Width, found.Width},
		{"tokens", d.VocabSize, found.VocabSize},
		{"positions", d.Positions, found.Positions},
		{"channels inside a block", d.InnerWidth(), found.InnerWidth()},
	} {
		if size.said != size.found {
			return fmt.Errorf(
				"found a description of %d %s, want the %d of the weights",
				size.said,
				size.name,
				size.found,
			)
		}
	}
	return nil
}

// Writer is memory and decoder, loaded for inference. Free releases both.
type Writer struct {
	memory  *Memory
	decoder *gpt2.Decoder
}

// Start begins texts about images, from their features [B, P, C].
func (w *Writer) Start(features *torch.Tensor, t family.Texts) (family.Session, error) {
	return w.decoder.Start(w.memory.forward(features, false), t.Images, t.Rows, t.Length)
}

// Holds is the bytes that a session keeps of an image with so many positions.
func (w *Writer) Holds(positions int64) int64 { return w.decoder.Holds(positions) }

// Free releases the tensors.
func (w *Writer) Free() {
	w.decoder.Free()
	nn.Free(w.memory)
}
