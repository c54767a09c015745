package coca

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"

	"captioner/data/tokenizer"
	"captioner/models/clip"
	"captioner/models/decode"
	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
)

// Family is CoCa as a row of the table of captioners: checkpoints of open_clip, with open_clip_config.json beside them
// or without.
func Family() family.Family {
	return family.Family{
		Name: "CoCa", Key: "coca", Parse: family.Parse[Config],
		Classes:   []encoder.Class{{ModelType: "coca"}},
		Vet:       func(f family.Files) error { _, err := readSettings(f.Beside); return err },
		Recognize: func(f family.Files) bool { _, ok := find(f.Source); return ok },
		Open:      open,
	}
}

var (
	_ family.Decoder = Config{}
	_ encoder.Headed = Config{}
)

// Key is "coca".
func (Config) Key() string { return "coca" }

// Sizes are the tokens of the vocabulary, the most tokens of a text, and the channels of a token.
func (c Config) Sizes() (vocabulary, positions, width int64) { return c.VocabSize, c.Context, c.Width }

// HeadCount is the number of heads of the text's own attention, and the channels that they share.
func (c Config) HeadCount() (heads, width int64) { return c.Text.Heads, c.Width }

// Validate reports sizes that do not fit each other, and image tokens of another width than the pooler takes.
func (c Config) Validate(m encoder.Memory, architecture string) error {
	if err := c.check(); err != nil {
		return err
	}
	if m.In != c.Image || m.Pooled() {
		return family.Mismatch("%s gives tokens of %d channels, want vision_width %d", architecture, m.In, c.Image)
	}
	return nil
}

// Load reads what writes for inference in type d.
func (c Config) Load(src weights.Source, _ encoder.Memory, o nn.LoadOptions, d torch.DType) (family.Writer, error) {
	named, err := weights.Rename(src, weights.Prefix(family.DecoderPrefix, ""))
	if err != nil {
		return nil, err
	}
	if err := c.matches(named); err != nil {
		return nil, err // before memory is taken for what is described
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

// matches reports sizes that are not those of the weights.
func (c Config) matches(src weights.Source) error {
	found, err := ConfigOf(src)
	if err != nil {
		return err
	}
	found.Text.Heads, found.Multimodal.Heads, found.Pooler = c.Text.Heads, c.Multimodal.Heads, c.Pooler
	found.Pad = c.Pad
	if found != c {
		return fmt.Errorf("found sizes %+v, want those of the weights, %+v", c, found)
	}
	return nil
}

// writer is what writes, loaded for inference.
type writer struct{ *Decoder }

// Start begins texts about images, from the tokens of the image tower [B, P, image].
func (w writer) Start(features *torch.Tensor, t family.Texts) (family.Session, error) {
	return w.Decoder.Start(features, t.Images, t.Rows, t.Length)
}

// settings are open_clip_config.json, as far as no weight tells it.
type settings struct {
	Model struct {
		QuickGELU bool `json:"quick_gelu"`
		Vision    struct {
			HeadWidth int64  `json:"head_width"`
			Pooler    int64  `json:"attn_pooler_heads"`
			Timm      string `json:"timm_model_name"`
		} `json:"vision_cfg"`
		Text struct {
			Heads int64  `json:"heads"`
			Pad   int32  `json:"pad_id"`
			Both  bool   `json:"no_causal_mask"`
			Other string `json:"hf_model_name"`
		} `json:"text_cfg"`
		Multimodal struct {
			Heads int64 `json:"heads"`
		} `json:"multimodal_cfg"`
	} `json:"model_cfg"`
	Images encoder.OpenCLIPImages `json:"preprocess_cfg"`
}

// readSettings reads them, and refuses what this package does not have. Without the file nothing is said.
func readSettings(beside encoder.Folder) (*settings, error) {
	var s settings
	err := encoder.ReadJSON(beside, "open_clip_config.json", &s)
	if errors.Is(err, fs.ErrNotExist) {
		return &s, nil
	}
	if err != nil {
		return nil, err
	}
	m := s.Model
	var found string
	switch {
	case m.Text.Other != "":
		found = fmt.Sprintf("hf_model_name %.60q, a text tower of Hugging Face", m.Text.Other)
	case m.Vision.Timm != "":
		found = fmt.Sprintf("timm_model_name %.60q, an image tower of timm", m.Vision.Timm)
	case m.Text.Both:
		found = "no_causal_mask, a text tower that sees what comes"
	case m.QuickGELU:
		found = "quick_gelu"
	default:
		if err := s.Images.Apply(new(encoder.Config)); err != nil {
			return nil, fmt.Errorf("read open_clip_config.json: %w", err)
		}
		return &s, nil
	}
	return nil, fmt.Errorf("read open_clip_config.json: found %s, want a CoCa as coca_ViT-B-32 and coca_ViT-L-14", found)
}

// open describes a checkpoint.
func open(f family.Files) (*family.Captioner, error) {
	s, err := readSettings(f.Beside)
	if err != nil {
		return nil, err
	}
	named, err := Keys(f.Source)
	if err != nil {
		return nil, err
	}
	c, err := ConfigOf(named)
	if err != nil {
		return nil, err
	}
	if err := s.apply(&c, f); err != nil {
		return nil, err
	}
	words := tokenizer.CLIP()
	if int64(words.VocabSize()) != c.VocabSize {
		return nil, fmt.Errorf("found a vocabulary of %d tokens, want CLIP's %d", c.VocabSize, words.VocabSize())
	}
	vision, src, err := s.image(f)
	if err != nil {
		return nil, err
	}
	out := &family.Captioner{
		Config:    family.Config{Name: f.Name(), Encoder: vision, Decoder: c, Decoding: c.decoding()},
		Card:      family.UnknownCard(f.Name(), vision.Architecture),
		Tokenizer: words,
	}
	if out.Config.Memory, err = encoder.NewMemory(vision, encoder.Tokens, 0); err != nil {
		return nil, err
	}
	if named, err = weights.Rename(named, weights.Prefix("", family.DecoderPrefix)); err != nil {
		return nil, err
	}
	if out.Source, err = weights.Join(named, src); err != nil {
		return nil, err
	}
	return out, out.Config.Validate()
}

// decoding is that of open_clip's generate with nothing said: seq_len 30 and min_seq_len 5, which count the begin
// token. Its six beams in three groups are three times the same search of two beams, for nothing keeps the groups
// apart; one is made.
func (c Config) decoding() family.Decoding {
	return family.Decoding{Rule: decode.CoCa, Beam: 2, MaxLen: int(min(29, c.Context)), MinLen: 4}
}

// apply takes what no weight says, and asks for heads that nothing says.
func (s *settings) apply(c *Config, f family.Files) (err error) {
	m := s.Model
	c.Pooler = cmp.Or(m.Vision.Pooler, c.Pooler)
	c.Pad = m.Text.Pad
	if c.Text.Heads, err = f.DecoderHeads(c.Width, m.Text.Heads, c.Text.Heads); err != nil {
		return err
	}
	c.Multimodal.Heads = cmp.Or(m.Multimodal.Heads, c.Text.Heads)
	return c.check()
}

// image describes the image tower of a checkpoint, and shows its tensors.
func (s *settings) image(f family.Files) (encoder.Config, weights.Source, error) {
	c, src, err := imageTower(f.Source)
	if err != nil {
		return encoder.Config{}, nil, err
	}
	var said int64
	if size := s.Model.Vision.HeadWidth; size > 0 {
		said = c.Vision.Width / size
	}
	if c.Vision.Heads, err = f.Heads.Choose(encoder.EncoderPart, c.Vision.Width, said, c.Vision.Heads); err != nil {
		return encoder.Config{}, nil, err
	}
	e := clip.Describe(c)
	e.Architecture = fmt.Sprintf("CoCa ViT of %d layers, width %d, patches of %d", c.Vision.Layers, c.Vision.Width,
		c.Vision.PatchSize)
	return e, src, s.Images.Apply(&e)
}
