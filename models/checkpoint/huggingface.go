package checkpoint

import (
	"errors"
	"fmt"
	"strings"

	"captioner/models/crossgpt2"
	"captioner/models/decode"
	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/models/gpt2"
	"captioner/weights"
)

// gpt2Family is GPT-2 with cross-attention, with its published formats: folders of Hugging Face with GPT-2 alone or
// with a VisionEncoderDecoderModel, and the files of clip-text-decoder.
func gpt2Family() family.Family {
	f := crossgpt2.Family()
	f.Classes = []encoder.Class{
		{ModelType: "vision-encoder-decoder", Names: []string{"VisionEncoderDecoderModel"}},
		{ModelType: "gpt2", Names: []string{"GPT2LMHeadModel", "GPT2Model"}},
	}
	f.Vet = vetGPT2
	f.Recognize = func(f family.Files) bool {
		if f.Folder {
			return f.ModelType == "vision-encoder-decoder" || f.ModelType == "gpt2" || f.ModelType == ""
		}
		_, err := gpt2.Keys(f.Source)
		return err == nil
	}
	f.Open = func(f family.Files) (*family.Captioner, error) {
		switch {
		case !f.Folder:
			return openClipDecoder(f)
		case f.ModelType == "vision-encoder-decoder":
			return openEncoderDecoder(f)
		}
		return openGPT2(f)
	}
	return f
}

// vetGPT2 refuses by config.json what cannot see, and what has an encoder or a decoder of another kind inside.
func vetGPT2(f family.Files) error {
	var c struct {
		CrossAttention   bool `json:"add_cross_attention"`
		Encoder, Decoder struct {
			ModelType string `json:"model_type"`
		}
	}
	if err := encoder.ReadJSON(f.Beside, "config.json", &c); err != nil {
		return err
	}
	switch {
	case f.ModelType == "gpt2" && !c.CrossAttention:
		return errBlind
	case f.ModelType == "gpt2":
		return nil
	case c.Decoder.ModelType != "gpt2":
		return &family.ForeignError{
			Found: fmt.Sprintf("a VisionEncoderDecoderModel whose decoder is %s", c.Decoder.ModelType), Want: "GPT-2",
			Remedy: "\"captioner weights list\" begins with captioners that work",
		}
	case !f.Encoders.Knows(c.Encoder.ModelType):
		return &family.ForeignError{
			Found:  fmt.Sprintf("a VisionEncoderDecoderModel whose encoder is %s", c.Encoder.ModelType),
			Want:   "one of " + f.Encoders.Names(),
			Remedy: "\"captioner weights list\" begins with captioners that work",
		}
	}
	return nil
}

// openGPT2 describes a folder of a GPT2LMHeadModel with cross-attention. Its encoder is any that fits.
func openGPT2(f family.Files) (*family.Captioner, error) {
	config, err := f.Beside.Read("config.json")
	if err != nil {
		return nil, err
	}
	net, err := gpt2.ParseConfig(config)
	if err != nil {
		return nil, fmt.Errorf("read config.json: %w", err)
	}
	c := &family.Captioner{Config: family.Config{
		Name: f.Name(), Decoder: crossgpt2.Decoder{Config: net},
		Decoding: family.Decoding{Rule: decode.ClipDecoder, Beam: 1, MaxLen: min(64, int(net.Positions))},
	}}
	c.Card = family.UnknownCard(c.Config.Name, "")
	if err := c.ExpectEncoder(encoder.Config{}, encoder.PooledPadded); err != nil {
		return nil, err
	}
	return c, takeGPT2(c, f)
}

// errBlind says that a GPT-2 is a language model alone.
var errBlind error = &family.ForeignError{
	Found: "GPT-2 without cross-attention, which cannot see", Want: "a captioner",
	Remedy: "--language-model of train takes it, for a captioner to begin with",
}

// takeGPT2 takes GPT-2's tensors out of a checkpoint, and the tokenizer out of its folder.
func takeGPT2(c *family.Captioner, f family.Files) error {
	net, ok := crossgpt2.Sizes(c.Config)
	if !ok {
		return errors.New("found no GPT-2 in the description of the folder, want one")
	}
	named, err := gpt2.Keys(f.Source)
	if err != nil {
		return err
	}
	found, err := gpt2.ConfigOf(named)
	if err != nil {
		return err
	}
	if found.VocabSize != net.VocabSize {
		const message = "read config.json: found a vocabulary of %d tokens, want the %d of the weights"
		return fmt.Errorf(message, net.VocabSize, found.VocabSize)
	}
	if !found.CrossAttention || !net.CrossAttention {
		return errBlind
	}
	if err := gpt2.CheckTied(named, ""); err != nil {
		return err
	}
	if c.Source, err = gpt2Tensors(named); err != nil {
		return err
	}
	c.Tokenizer, err = folderTokenizer(f.Beside, net.VocabSize)
	return err
}

// gpt2Tensors shows the tensors of GPT2LMHeadModel as a model file has them, without the constant masks beside the
// weights.
func gpt2Tensors(src weights.Source) (weights.Source, error) {
	return weights.Rename(src, func(n string) (string, bool) {
		return family.DecoderPrefix + n, strings.HasPrefix(n, "transformer.") && !gpt2.IsMask(n)
	})
}
