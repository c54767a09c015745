package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"

	"captioner/models/crossgpt2"
	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/models/gpt2"
	"captioner/weights"
)

// openEncoderDecoder describes a VisionEncoderDecoderModel with GPT-2: its encoder's last_hidden_state, through
// enc_to_dec_proj where the widths differ, is the decoder's memory.
func openEncoderDecoder(f family.Files) (*family.Captioner, error) {
	var config struct {
		Encoder, Decoder json.RawMessage
	}
	if err := encoder.ReadJSON(f.Beside, "config.json", &config); err != nil {
		return nil, err
	}
	net, err := gpt2.ParseConfig(config.Decoder)
	if err != nil {
		return nil, fmt.Errorf("read config.json: decoder: %w", err)
	}
	c := &family.Captioner{
		Config: family.Config{Name: f.Name(), Decoder: crossgpt2.Decoder{Config: net}},
	}
	if err := takeGPT2(c, f); err != nil {
		return nil, err
	}
	vision, err := innerEncoder(c, f, config.Encoder)
	if err != nil {
		return nil, err
	}
	if c.Config.Decoding, err = family.ReadGeneration(f.Beside, net.Positions); err != nil {
		return nil, err
	}
	if c.Config.Decoding.Opening, err = family.ReadOpening(f.Beside); err != nil {
		return nil, err
	}
	read := &c.Config.Decoding.Processors // what is read is no text here: generate leaves out what looks at it
	read.EncoderNoRepeat, read.EncoderRepetition = 0, 0
	projection, err := weights.Rename(f.Source, weights.Prefix("enc_to_dec_proj.", family.MemoryPrefix+"project."))
	if err != nil {
		return nil, err
	}
	if c.Source, err = weights.Join(c.Source, projection, vision); err != nil {
		return nil, err
	}
	return c, c.Config.Validate()
}

// innerEncoder describes the encoder inside a VisionEncoderDecoderModel and shows its tensors as a model file has them.
func innerEncoder(c *family.Captioner, f family.Files, config json.RawMessage) (weights.Source, error) {
	var e struct {
		ModelType string `json:"model_type"`
	}
	if err := json.Unmarshal(config, &e); err != nil {
		return nil, fmt.Errorf("read config.json: encoder: %w", err)
	}
	inner, err := weights.Rename(f.Source, weights.Prefix("encoder.", ""))
	if err != nil {
		return nil, err
	}
	beside := encoder.Inner(f.Beside, config)
	vision, named, err := f.Encoders.Open(inner, beside, true, f.Heads)
	var unknown *encoder.UnknownError
	switch {
	case errors.As(err, &unknown):
		return nil, fmt.Errorf("read config.json: encoder of the type %q: %w", e.ModelType, err)
	case err != nil:
		return nil, fmt.Errorf("encoder: %w", err)
	}
	c.Config.Encoder, c.Card = vision, family.UnknownCard(c.Config.Name, vision.Architecture)
	c.Config.Memory, err = encoder.NewMemory(vision, encoder.Tokens, 0)
	return named, err
}
