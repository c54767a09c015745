package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"

	"captioner/models/encoder"
	"captioner/models/gpt2"
	"captioner/weights"
	"captioner/weights/pickle"
)

// pythonPrefix begins the names of a Decoder of clip-text-decoder 1.4.
const pythonPrefix = "language_model."

// lightningVersion is that of the layout: from 2.0 on it is the same.
const lightningVersion = "2.5.6"

// exportLightning writes what Lightning's Trainer.save_checkpoint does of a Decoder, without an optimizer.
func (e exporter) exportLightning(path string) error {
	if err := e.wantPadded(); err != nil {
		return err
	}
	if err := e.wantOwnEncoder(orDecoderAlone); err != nil {
		return err
	}
	vision, err := pythonEncoder(e.Config.Encoder)
	if err != nil {
		return err
	}
	lm, err := pythonLanguageModel(e.net)
	if err != nil {
		return err
	}
	state, err := e.pythonDecoder()
	if err != nil {
		return err
	}
	root := new(pickle.Dict)
	for _, e := range []struct {
		key   string
		value any
	}{
		{"epoch", 0},
		{"global_step", 0},
		{"pytorch-lightning_version", lightningVersion},
		{"state_dict", state},
		{"loops", new(pickle.Dict)},
		{"callbacks", new(pickle.Dict)},
		{"optimizer_states", []any{}},
		{"lr_schedulers", []any{}},
		{"hparams_name", "kwargs"},
		{"hyper_parameters", dict("vision_backbone", vision, "language_model", lm, "device", nil)},
	} {
		root.Set(e.key, e.value)
	}
	return writePickle(e.ctx, path, root)
}

func dict(pairs ...any) *pickle.Dict {
	d := new(pickle.Dict)
	for i := 0; i < len(pairs); i += 2 {
		d.Set(pairs[i], pairs[i+1])
	}
	return d
}

// orDecoderAlone is the remedy where Lightning's form wants an encoder.
const orDecoderAlone = "--encoder FILE gives the encoder that it was trained with; " +
	"--to state-dict writes the decoder alone"

// pythonEncoder is the name of an encoder in clip-text-decoder 1.4.
func pythonEncoder(e encoder.Config) (string, error) {
	known := []string{
		"clip:RN50",
		"clip:RN101",
		"clip:ViT-B/32",
		"clip:ViT-B/16",
		"clip:ViT-L/14",
		"clip:ViT-L/14@336px",
		"blip:base",
	}
	for _, name := range known {
		if e.Architecture == strings.TrimPrefix(name, "clip:") {
			return name, nil
		}
	}
	if e.Architecture == "" {
		return "", &FormError{
			errors.New("found no name of the encoder in the checkpoint, want one: Lightning's form holds it"),
			orDecoderAlone,
		}
	}
	return "", &FormError{
		fmt.Errorf(
			"found the encoder %s, want one that clip-text-decoder knows: %s",
			e.Architecture,
			strings.Join(known, ", "),
		),
		"--to state-dict writes the decoder alone",
	}
}

// pythonLanguageModel is the name of a decoder in clip-text-decoder 1.4, which makes the network by it.
func pythonLanguageModel(c gpt2.Config) (string, error) {
	switch name := c.PublishedName(); name {
	case "distilgpt2", "gpt2", "gpt2-medium":
		return name, nil
	}
	const found = "found a decoder of %d layers, width %d and %d tokens, "
	const want = "want that of distilgpt2, gpt2 or gpt2-medium: clip-text-decoder knows no other"
	return "", &FormError{fmt.Errorf(found+want, c.Layers, c.Width, c.VocabSize),
		"--to huggingface writes a decoder of any size"}
}

// A FormError says that a captioner cannot be written in a form.
type FormError struct {
	error
	hint string
}

// Unwrap returns what is wrong.
func (e *FormError) Unwrap() error { return e.error }

// Hint says what can be done instead.
func (e *FormError) Hint() string { return e.hint }

func (e exporter) wantPadded() error {
	if k := e.Config.Memory.Kind; k != encoder.PooledPadded {
		return &FormError{
			fmt.Errorf(
				"found a memory of the kind %q, want %q: clip-text-decoder knows no other",
				k,
				encoder.PooledPadded,
			),
			"--to huggingface writes decoder and memory as files of their own",
		}
	}
	return nil
}

// pythonDecoder is the state dict of clip-text-decoder's Decoder: that of GPT2LMHeadModel, with the tied head, in
// Python's order.
func (e exporter) pythonDecoder() (*pickle.Dict, error) {
	if err := e.wantPadded(); err != nil {
		return nil, err
	}
	tensors, err := e.gpt2Tensors()
	if err != nil {
		return nil, err
	}
	d := &pickle.Dict{Ordered: true}
	m := newMasks(e.net.Positions)
	for _, t := range tensors {
		before, crossed := strings.CutSuffix(t.Name, ".crossattention.c_attn.weight")
		attention := ".crossattention"
		if !crossed {
			before, crossed = strings.CutSuffix(t.Name, ".attn.c_attn.weight")
			attention = ".attn"
		}
		if e.o.Masks && crossed {
			d.Set(pythonPrefix+before+attention+".bias", m.causal)
			d.Set(pythonPrefix+before+attention+".masked_bias", m.masked)
		}
		d.Set(pythonPrefix+t.Name, t)
	}
	if wte, ok := d.Get(pythonPrefix + "transformer.wte.weight"); ok {
		d.Set(pythonPrefix+"lm_head.weight", wte) // the same storage
	}
	return d, nil
}

// masks are the buffers of GPT2Attention in transformers before 4.27: a lower triangle of ones, and the number that
// stands for minus infinity.
type masks struct{ causal, masked weights.NamedTensor }

func newMasks(n int64) masks {
	triangle := bytes.Repeat([]byte{0}, int(n*n))
	for i := range n {
		for j := range i + 1 {
			triangle[i*n+j] = 1
		}
	}
	low := binary.LittleEndian.AppendUint32(nil, math.Float32bits(-1e4))
	return masks{
		weights.NamedTensor{DType: weights.U8, Shape: []int64{1, 1, n, n}, Data: triangle},
		weights.NamedTensor{DType: weights.F32, Data: low},
	}
}
