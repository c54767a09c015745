package clipcap

import (
	"fmt"
	"path/filepath"
	"strings"

	"captioner/data/tokenizer"
	"captioner/models/clip"
	"captioner/models/decode"
	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
	"captioner/weights/plural"
)

// Family is ClipCap as a row of the table of captioners: the .pt files that its own code saves, of its three mappings.
func Family() family.Family {
	return family.Family{
		Name: "ClipCap", Key: "clipcap", Parse: family.Parse[Config],
		Classes:   []encoder.Class{}, // its files describe nothing
		Recognize: func(f family.Files) bool { _, ok := find(f.Source); return ok },
		Open:      open,
	}
}

var _ family.Decoder = Config{}

// Key is "clipcap".
func (Config) Key() string { return "clipcap" }

// Sizes are the tokens of the vocabulary, the most tokens of a text, and the channels of a token.
func (c Config) Sizes() (vocabulary, positions, width int64) {
	return c.GPT2.VocabSize, c.longest(), c.GPT2.Width
}

// HeadCount is the number of heads of the GPT-2, and the channels that they share.
func (c Config) HeadCount() (heads, width int64) { return c.GPT2.HeadCount() }

// Validate reports sizes that do not fit each other, and embeddings of another width than the mapper takes.
func (c Config) Validate(m encoder.Memory, architecture string) error {
	if err := c.check(); err != nil {
		return err
	}
	if m.In != c.Image || !m.Pooled() {
		return family.Mismatch("%s gives an image %d numbers, want prefix_size %d", architecture, m.In, c.Image)
	}
	return nil
}

// Load reads the decoder for inference in type d.
func (c Config) Load(src weights.Source, _ encoder.Memory, o nn.LoadOptions, d torch.DType) (family.Writer, error) {
	named, err := weights.Rename(src, weights.Prefix(family.DecoderPrefix, ""))
	if err != nil {
		return nil, err
	}
	found, err := ConfigOf(named)
	if found.GPT2.Heads = c.GPT2.Heads; err == nil && found != c { // before memory is taken for what is described
		err = fmt.Errorf("found sizes %+v, want those of the weights, %+v", c, found)
	}
	if err != nil {
		return nil, err
	}
	m, err := New(c)
	if err != nil {
		return nil, err
	}
	defer m.Free()
	if err := m.Load(src, o.Below(family.DecoderPrefix).AsStored()); err != nil {
		return nil, err
	}
	return writer{m.Decoder(d)}, nil
}

// writer is the decoder, loaded for inference.
type writer struct{ *Decoder }

// Start begins texts about images, from CLIP's embeddings [B, 1, M].
func (w writer) Start(features *torch.Tensor, t family.Texts) (family.Session, error) {
	return w.Decoder.Start(features.Select(1, 0).Contiguous(), t.Images, t.Rows, t.Length)
}

// open describes a file. The CLIP that it was trained with is known by the width of its embedding.
func open(f family.Files) (*family.Captioner, error) {
	named, err := Keys(f.Source)
	if err != nil {
		return nil, err
	}
	c, err := ConfigOf(named)
	if err != nil {
		return nil, err
	}
	if c.GPT2.Heads, err = f.DecoderHeads(c.GPT2.Width, 0, c.GPT2.Heads); err != nil {
		return nil, err
	}
	words := tokenizer.GPT2()
	if int64(words.VocabSize()) != c.GPT2.VocabSize {
		return nil, fmt.Errorf("found a vocabulary of %s, want GPT-2's %d", plural.Count(c.GPT2.VocabSize, "token"),
			words.VocabSize())
	}
	vision, err := c.clip()
	if err != nil {
		return nil, err
	}
	end := words.Encode(".")[0]
	name := strings.TrimSuffix(filepath.Base(f.Path), filepath.Ext(f.Path))
	out := &family.Captioner{
		Config: family.Config{Name: name, Decoder: c, Decoding: family.Decoding{
			Rule: decode.ClipCap, Beam: 1, MaxLen: int(min(67, c.longest())), End: &end,
		}},
		Card:      family.UnknownCard(name, vision.Architecture),
		Tokenizer: words,
	}
	if err := out.ExpectEncoder(vision, encoder.PooledProjected); err != nil {
		return nil, err
	}
	out.Source, err = weights.Rename(named, weights.Prefix("", family.DecoderPrefix))
	return out, err
}

// clip is the CLIP that ClipCap's code trains with, of those that give embeddings of Image channels.
func (c Config) clip() (encoder.Config, error) {
	switch c.Image {
	case 512:
		return clip.Describe(clip.ViTB32()), nil
	case 640:
		return clip.Describe(clip.RN50x4()), nil
	case 768:
		return clip.Describe(clip.ViTL14()), nil
	case 1024:
		return clip.Describe(clip.RN50()), nil
	}
	const message = "found a mapper of %d channels, want those of a CLIP: 512, 640, 768 or 1024"
	return encoder.Config{}, fmt.Errorf(message, c.Image)
}
