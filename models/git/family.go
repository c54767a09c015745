package git

import (
	"fmt"
	"reflect"
	"strings"

	"captioner/models/bert"
	"captioner/models/clip"
	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
)

// Family is GIT as a row of the table of captioners: Hugging Face's GitForCausalLM in a folder.
func Family() family.Family {
	return family.Family{
		Name: "GIT", Key: "git", Parse: family.Parse[Text],
		Classes: []encoder.Class{{ModelType: "git", Names: []string{"GitForCausalLM"}}},
		Vet:     vet,

		TokenizerFiles: bert.TokenizerFiles,
		Recognize:      func(f family.Files) bool { return f.Folder && f.ModelType == "git" },
		Open:           open,
	}
}

var _ family.Decoder = Text{}

// Key is "git".
func (Text) Key() string { return "git" }

// Sizes are the tokens of the vocabulary, the most tokens of a text, and the channels of a token.
func (t Text) Sizes() (vocabulary, positions, width int64) { return t.VocabSize, t.Positions, t.Width }

// Validate reports sizes that do not fit each other, and image tokens of another width than the projection takes.
func (t Text) Validate(m encoder.Memory, architecture string) error {
	if err := t.Config.Validate(); err != nil {
		return err
	}
	if m.In != t.Image || t.Memory != 0 {
		return family.Mismatch("%s gives tokens of %d channels, want image_hidden_size %d",
			architecture, m.In, t.Image)
	}
	return nil
}

// Load reads the text side for inference in type d.
func (t Text) Load(src weights.Source, _ encoder.Memory, o nn.LoadOptions, d torch.DType) (family.Writer, error) {
	if err := t.Matches(src, family.DecoderPrefix+"git."); err != nil {
		return nil, err
	}
	m, err := New(t)
	if err != nil {
		return nil, err
	}
	defer m.Free()
	if err := m.Load(src, o.Below(family.DecoderPrefix).AsStored()); err != nil {
		return nil, err
	}
	return writer{m.Decoder(d)}, nil
}

// writer is the text side, loaded for inference.
type writer struct{ *Decoder }

// Start begins texts behind the tokens of images, [B, P, M] as the vision tower gives them.
func (w writer) Start(features *torch.Tensor, t family.Texts) (family.Session, error) {
	return w.Decoder.Start(features, t.Images, t.Rows, t.Length)
}

// vet refuses by config.json what open refuses by it.
func vet(f family.Files) error {
	config, err := f.Beside.Read("config.json")
	if err != nil {
		return err
	}
	if _, err := ParseConfig(config); err != nil {
		return fmt.Errorf("read config.json: %w", err)
	}
	return nil
}

// frameKey begins the names of what a GIT for videos adds to each frame.
const frameKey = "git.img_temporal_embedding."

// frames counts the frames of a GIT for videos, by its tensors.
func frames(src weights.Source) (n int) {
	for _, name := range src.Names() {
		if strings.HasPrefix(name, frameKey) {
			n++
		}
	}
	return n
}

// open describes a folder of Hugging Face.
func open(f family.Files) (*family.Captioner, error) {
	config, err := f.Beside.Read("config.json")
	if err != nil {
		return nil, err
	}
	sizes, err := ParseConfig(config)
	if err != nil {
		return nil, fmt.Errorf("read config.json: %w", err)
	}
	if n := frames(f.Source); n > 0 { // though config.json says nothing of it
		return nil, videoError(n, frameKey+"0")
	}
	image, err := tower(f, sizes)
	if err != nil {
		return nil, err
	}
	name := f.Name()
	c := &family.Captioner{Config: family.Config{Name: name, Encoder: image.Config, Decoder: sizes.Text}}
	c.Card = family.UnknownCard(name, image.Config.Architecture)
	if c.Config.Memory, err = encoder.NewMemory(image.Config, encoder.Tokens, 0); err != nil {
		return nil, err
	}
	c.Config.Memory.Form = string(clip.Normed)
	words, err := TextKeys(f.Source)
	if err == nil {
		words, err = weights.Rename(words, weights.Prefix("", family.DecoderPrefix))
	}
	if err != nil {
		return nil, err
	}
	if c.Source, err = weights.Join(words, image.src); err != nil {
		return nil, err
	}
	if err := sizes.Text.Matches(c.Source, family.DecoderPrefix+"git."); err != nil {
		return nil, fmt.Errorf("read config.json: %w", err)
	}
	if c.Tokenizer, err = bert.ReadTokenizer(f.Beside, sizes.Text.VocabSize); err != nil {
		return nil, err
	}
	alone := family.Usual{NoStart: true} // as the text side has no encoder of text
	if c.Config.Decoding, err = alone.ReadGeneration(f.Beside, sizes.Text.Positions); err != nil {
		return nil, err
	}
	return c, c.Config.Validate()
}

// vision is the vision tower inside a checkpoint.
type vision struct {
	encoder.Config
	src weights.Source // its tensors, by the names of a model file
}

// tower finds the vision tower, which is a CLIP's without projection.
func tower(f family.Files, c Config) (vision, error) {
	a := clip.Architecture()
	e, src, err := a.Open(f.Source)
	if err != nil {
		return vision{}, err
	}
	found := e.Encoder.(clip.Config)
	found.Vision.Heads = c.Vision.Vision.Heads // which no weight tells
	if got, want := found.Vision, c.Vision.Vision; !reflect.DeepEqual(got, want) {
		return vision{}, fmt.Errorf("read config.json: found vision_config %+v, want that of the weights, %+v", want, got)
	}
	described := clip.Describe(c.Vision)
	described.Preprocess.ScaleFirst = false // CLIPImageProcessor makes images RGB first
	return vision{described, src}, described.ReadProcessor(f.Beside)
}
