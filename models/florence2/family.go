package florence2

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"captioner/models/davit"
	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/weights"
)

// Family is Florence-2 as a row of the table of captioners: folders of Hugging Face's Florence2ForConditionalGeneration
// and of Florence-2's authors.
func Family() family.Family {
	return family.Family{
		Name: "Florence-2", Key: "florence2", Parse: family.Parse[Config],
		Classes:   []encoder.Class{{ModelType: "florence2", Names: []string{"Florence2ForConditionalGeneration"}}},
		Vet:       func(f family.Files) error { _, err := describe(f); return err },
		Recognize: func(f family.Files) bool { return f.Folder && f.ModelType == "florence2" },
		Open:      open,

		TokenizerFiles: []string{"tokenizer.json", "vocab.json"},
	}
}

// usual is how a caption is written where a checkpoint does not say: at most as long as in the published models' own
// examples, and with BartConfig's tokens.
var usual = family.Usual{
	Length: 1024,
	Older:  map[string]string{"decoder_start_token_id": "2", "eos_token_id": "2", "forced_eos_token_id": "2"},
}

// description is what a config.json says.
type description struct {
	vision json.RawMessage
	sizes  Config
}

// describe reads config.json.
func describe(f family.Files) (d description, err error) {
	var config struct {
		Text    json.RawMessage `json:"text_config"`
		Vision  json.RawMessage `json:"vision_config"`
		ImageID *int32          `json:"image_token_id"`
	}
	if err := encoder.ReadJSON(f.Beside, "config.json", &config); err != nil {
		return d, err
	}
	tower, err := davit.ParseConfig(config.Vision)
	if err == nil {
		d.vision = config.Vision
		d.sizes, err = parseConfig(config.Text, config.Vision, tower.Width(), config.ImageID)
	}
	if err != nil {
		return d, fmt.Errorf("read config.json: %w", err)
	}
	return d, nil
}

// open describes a folder.
func open(f family.Files) (*family.Captioner, error) {
	d, err := describe(f)
	if err != nil {
		return nil, err
	}
	if err := whole(f); err != nil {
		return nil, err
	}
	image, tower, err := davit.Open(f.Source)
	if err != nil {
		return nil, err
	}
	if err := davit.Configure(&image, d.vision); err != nil {
		return nil, fmt.Errorf("read config.json: %w", err)
	}
	if err := image.ReadProcessor(f.Beside); err != nil {
		return nil, err
	}
	name := f.Name()
	c := &family.Captioner{
		Config: family.Config{Name: name, Encoder: image},
		Card:   family.UnknownCard(name, image.Architecture),
	}
	if c.Config.Memory, err = encoder.NewMemory(image, encoder.Tokens, 0); err != nil {
		return nil, err
	}
	if err := takeText(c, f, d.sizes, tower); err != nil {
		return nil, err
	}
	return c, c.Config.Validate()
}

// takeText describes what stands behind the vision encoder, whose tensors are tower.
func takeText(c *family.Captioner, f family.Files, sizes Config, tower weights.Source) error {
	text, err := Keys(f.Source, sizes.Text.Untied)
	if err != nil {
		return err
	}
	sizes.LogitBias = weights.ShapesOf(text).Has("final_logits_bias")
	if err := sizes.matches(text, ""); err != nil {
		return fmt.Errorf("read config.json: %w", err)
	}
	if text, err = weights.Rename(text, weights.Prefix("", family.DecoderPrefix)); err != nil {
		return err
	}
	if c.Source, err = weights.Join(text, tower); err != nil {
		return err
	}
	if c.Tokenizer, err = readTokenizer(f.Beside, sizes.Text.VocabSize); err != nil {
		return err
	}
	settings := struct {
		CleanUp bool `json:"clean_up_tokenization_spaces"`
	}{}
	if err := encoder.ReadOptional(f.Beside, "tokenizer_config.json", &settings); err != nil {
		return err
	}
	sizes.CleanUp = settings.CleanUp
	c.Config.Decoder = sizes
	c.Config.Decoding, err = usual.ReadGeneration(f.Beside, sizes.Text.Positions)
	return err
}

// whole refuses a Florence-2 without the side that writes.
func whole(f family.Files) error {
	if slices.ContainsFunc(f.Source.Names(), func(name string) bool {
		return strings.Contains(name, "language_model.") && strings.Contains(name, "decoder.layers.0.")
	}) {
		return nil
	}
	const message = "found a Florence-2 without its language model (architectures %q), want " +
		"Florence2ForConditionalGeneration"
	return fmt.Errorf(message, f.Architectures)
}
