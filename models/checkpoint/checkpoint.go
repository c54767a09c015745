// Package checkpoint recognizes, opens and writes files of captioners and of vision encoders: captioner's own model
// file, folders of Hugging Face, and what clip-text-decoder and Lightning save, with the tokenizers inside or beside
// them. The table of all vision encoders and all captioners stands here, see [Known].
//
// Nothing that a file says is executed. A description is compared with the weights before memory is taken for it.
package checkpoint

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"captioner/data/tokenizer"
	"captioner/models/clip"
	"captioner/models/decode"
	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
	"captioner/weights/formats"
)

// Checkpoint is an opened captioner: its description, and its tensors in a memory map. Close it after what was loaded
// from it is freed.
type Checkpoint struct {
	Path      string // "" for bytes in memory
	Config    family.Config
	Card      family.Card
	Tokenizer tokenizer.Codec
	Family    string // the name of the kind of captioner, for people
	SHA256    string // of the whole file; only after Checksum

	src      weights.Source
	given    *Pretrained // the encoder of UseEncoder
	mismatch error       // see Mismatch
	remarks  []string
	raw      []byte // of Parse
}

// Checksum reads the whole file once and sets SHA256, in hexadecimal.
func (c *Checkpoint) Checksum() (string, error) {
	if c.SHA256 != "" {
		return c.SHA256, nil
	}
	if c.Path == "" {
		sum := sha256.Sum256(c.raw)
		c.SHA256 = hex.EncodeToString(sum[:])
		return c.SHA256, nil
	}
	sum, err := formats.SHA256(c.Path)
	if err != nil {
		return "", fmt.Errorf("checksum of model %q: %w", c.Path, err)
	}
	c.SHA256 = sum
	return sum, nil
}

// Source is the tensors by the names of a model file. The checkpoint owns it.
func (c *Checkpoint) Source() weights.Source { return c.src }

// Close releases the memory maps.
func (c *Checkpoint) Close() error {
	err := c.src.Close()
	if c.given != nil {
		err = errors.Join(err, c.given.Close())
	}
	return err
}

// Defaults are the decoding options that the model asks for, with its own begin and end tokens.
func (c *Checkpoint) Defaults() decode.Options { return c.Config.Options(c.Tokenizer) }

// BPE is the tokenizer of a captioner with GPT-2.
func (c *Checkpoint) BPE() (*tokenizer.Tokenizer, error) {
	t, ok := c.Tokenizer.(*tokenizer.Tokenizer)
	if !ok {
		return nil, fmt.Errorf("model %q: found a tokenizer of another kind, want byte-level BPE", c.Path)
	}
	return t, nil
}

// LoadWriter loads what writes captions from the encoder's features, for inference in type d. It works inside torch.Do.
func (c *Checkpoint) LoadWriter(dev torch.Device, d torch.DType) (family.Writer, error) {
	o := nn.LoadOptions{Device: dev, Ignore: encoder.Owns, Once: true}
	var w family.Writer
	err := c.used(c.src, func(src weights.Source) (err error) {
		w, err = c.Config.Decoder.Load(src, c.Config.Memory, o, d)
		return err
	})
	if err != nil {
		return nil, &Error{Doing: "load model", Path: c.Path, Err: err}
	}
	torch.ReleaseMemory() // of what was on the way to the layout
	return w, nil
}

// LoadEncoder loads the encoder for inference in type d. It works inside torch.Do.
func (c *Checkpoint) LoadEncoder(dev torch.Device, d torch.DType) (*encoder.Runner, error) {
	path, src := c.Path, c.src
	if c.given != nil {
		path, src = c.given.Path, c.given.src
	} else if !c.HasEncoder() {
		return nil, c.MissingEncoder()
	}
	var r *encoder.Runner
	err := c.used(src, func(src weights.Source) (err error) {
		r, err = encoder.NewRunner(c.Config.Encoder, c.Config.Memory, src, dev, d)
		return err
	})
	if err != nil {
		return nil, &Error{Doing: "load encoder from", Path: path, Encoder: c.given != nil, Err: err}
	}
	torch.ReleaseMemory()
	return r, nil
}

// HasEncoder says whether the encoder's weights are in the file, or were given by UseEncoder.
func (c *Checkpoint) HasEncoder() bool {
	return c.given != nil || slices.ContainsFunc(c.src.Names(), encoder.Owns)
}

// Mismatch says why the encoder that the file names cannot be the one that it was trained with; nil where it can, or
// where the file names none.
func (c *Checkpoint) Mismatch() error { return c.mismatch }

// UseEncoder gives the captioner an encoder in the place of its own, or of the one that it leaves out. c owns p from
// then on. A captioner that decodes by the rules of clip-text-decoder gets a CLIP as that package loads it, rounded to
// float16.
func (c *Checkpoint) UseEncoder(p *Pretrained) error {
	want := c.Config.Encoder
	if _, ok := p.Config.Encoder.(clip.Config); ok && c.Config.Decoding.Rule != decode.Search {
		p.src = clip.Rounded(p.src)
	}
	if want.SHA256 != "" && !c.HasEncoder() {
		sum, err := p.Checksum()
		if err != nil {
			return err
		}
		if sum != want.SHA256 {
			const found = "encoder %q: found SHA-256 %s, want the %s of %s, which the model was trained with"
			return &unfit{p.Path, fmt.Errorf(found, p.Path, sum, want.SHA256, want.Architecture)}
		}
	}
	if want.Architecture == "" { // a checkpoint that does not name its encoder
		c.Config.Encoder = p.Config
		return c.useAnyEncoder(p)
	}
	if err := c.Config.Memory.Fits(p.Config); err != nil {
		const found = "encoder %q (%s) does not fit the model, which wants %s: %w"
		return &unfit{p.Path, fmt.Errorf(found, p.Path, p.Config.Architecture, want.Architecture, err)}
	}
	c.given, c.Config.Encoder = p, p.Config
	if want.Architecture == p.Config.Architecture {
		c.Config.Encoder.Preprocess = want.Preprocess
	}
	return nil
}

// useAnyEncoder takes an encoder that the model says nothing about.
func (c *Checkpoint) useAnyEncoder(p *Pretrained) error {
	m, err := encoder.NewMemory(p.Config, c.Config.Memory.Kind, 0)
	if err == nil {
		c.Config.Memory = m
		err = c.Config.ValidateDecoder()
	}
	if err != nil {
		return &unfit{p.Path, fmt.Errorf("encoder %q: %w", p.Path, oneLine(err))}
	}
	c.given = p
	return nil
}

// An EncoderMissingError says that a model file leaves its encoder out, and which it is.
type EncoderMissingError struct {
	Path         string // of the model
	Architecture string
	SHA256       string // "" where the file does not say
	Mismatch     error  // why the encoder that the file names cannot be its own; nil where it can
}

func (e *EncoderMissingError) Error() string {
	if e.Mismatch != nil {
		const found = "model %q holds no encoder, and names one that cannot be its own: %v"
		return fmt.Sprintf(found, e.Path, oneLine(e.Mismatch))
	}
	which := e.Architecture
	if which == "" {
		which = "the one that it was trained with"
	}
	if e.SHA256 != "" {
		which += ", SHA-256 " + e.SHA256
	}
	return fmt.Sprintf("model %q holds no encoder, want %s beside it", e.Path, which)
}

// MissingEncoder is the error of a captioner whose encoder is not there.
func (c *Checkpoint) MissingEncoder() error {
	return &EncoderMissingError{c.Path, c.Config.Encoder.Architecture, c.Config.Encoder.SHA256, c.mismatch}
}

// encoderSource holds the tensors of the encoder, if there are any.
func (c *Checkpoint) encoderSource() weights.Source {
	if c.given != nil {
		return c.given.src
	}
	return c.src
}

// EncoderTensors are copies of the encoder's tensors, as Save takes them; none where the file leaves the encoder out.
func (c *Checkpoint) EncoderTensors() ([]weights.NamedTensor, error) {
	if c.given != nil {
		return c.given.Tensors()
	}
	tensors, err := take(c.src, encoder.Prefix)
	for i := range tensors {
		tensors[i].Data, tensors[i].Held = slices.Clone(tensors[i].Data), false
	}
	return tensors, err
}

// take are the tensors whose names begin with prefix.
func take(src weights.Source, prefix string) ([]weights.NamedTensor, error) {
	var out []weights.NamedTensor
	for _, n := range src.Names() {
		if strings.HasPrefix(n, prefix) {
			t, err := src.Tensor(n)
			if err != nil {
				return nil, err
			}
			out = append(out, t)
		}
	}
	return out, nil
}

// takeAs is take with another prefix in the place of the tensors' own.
func takeAs(src weights.Source, prefix, as string) ([]weights.NamedTensor, error) {
	tensors, err := take(src, prefix)
	for i := range tensors {
		tensors[i].Name = as + strings.TrimPrefix(tensors[i].Name, prefix)
	}
	return tensors, err
}

// oneLine joins what errors.Join put on lines.
func oneLine(err error) error { return errors.New(strings.ReplaceAll(err.Error(), "\n", "; ")) }
