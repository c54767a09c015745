package blip

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"captioner/data/tokenizer"
	"captioner/models/bert"
	"captioner/models/decode"
	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
)

// Family is BLIP's captioner as a row of the table of captioners: Hugging Face's BlipForConditionalGeneration in a
// folder, and the files of LAVIS and of BLIP's authors.
func Family() family.Family {
	return family.Family{
		Name: "BLIP", Key: "blip", Parse: family.Parse[Decoder],
		Classes: []encoder.Class{{ModelType: "blip", Names: []string{"BlipForConditionalGeneration"}}},
		Vet:     vet, Recognize: recognizeCaptioner, Open: openCaptioner, TokenizerFiles: bert.TokenizerFiles,
	}
}

// encoderMark is the tensor that tells a text encoder, which captioners do not have.
const encoderMark = "text_encoder.embeddings.word_embeddings.weight"

func recognizeCaptioner(f family.Files) bool {
	if f.Folder {
		return f.ModelType == "blip"
	}
	return slices.ContainsFunc(f.Source.Names(), func(name string) bool {
		return strings.HasSuffix(name, textMark) || strings.HasSuffix(name, encoderMark)
	})
}

// Decoder is the sizes of the text decoder, and how it was trained, in the names of Hugging Face's BlipTextConfig.
type Decoder struct {
	bert.Config
	bert.Dropout
	LabelSmoothing float64 `json:"label_smoothing,omitempty"` // of the loss: the share that is spread over all tokens
}

var _ family.Decoder = Decoder{}

// Key is "blip".
func (Decoder) Key() string { return "blip" }

// Sizes are the tokens of the vocabulary, the most tokens of a text, and the channels of a token.
func (d Decoder) Sizes() (vocabulary, positions, width int64) {
	return d.VocabSize, d.Positions, d.Width
}

// Validate reports sizes that do not fit each other, and a memory of another width than cross-attention takes.
func (d Decoder) Validate(m encoder.Memory, architecture string) error {
	if err := d.Config.Validate(); err != nil {
		return err
	}
	for name, v := range map[string]float64{
		"hidden_dropout_prob": d.Hidden, "attention_probs_dropout_prob": d.Attention, "label_smoothing": d.LabelSmoothing,
	} {
		if !(v >= 0 && v < 1) {
			return fmt.Errorf("text decoder: found %s %g, want 0 to less than 1", name, v)
		}
	}
	if m.In != d.Memory {
		return family.Mismatch("%s gives tokens of %d channels, want encoder_hidden_size %d",
			architecture, m.In, d.Memory)
	}
	return nil
}

// Load reads the decoder for inference in type t.
func (d Decoder) Load(src weights.Source, _ encoder.Memory, o nn.LoadOptions, t torch.DType) (family.Writer, error) {
	if err := d.Matches(src, family.DecoderPrefix+"bert."); err != nil {
		return nil, err
	}
	m, err := NewTextDecoder(d.Config)
	if err != nil {
		return nil, err
	}
	defer m.Free()
	if err := m.Load(src, o.Below(family.DecoderPrefix).AsStored()); err != nil {
		return nil, err
	}
	return writer{m.Decoder(t)}, nil
}

// writer is the decoder, loaded for inference.
type writer struct{ *bert.Decoder }

// Start begins texts about images, from all tokens of the vision tower [B, P, C].
func (w writer) Start(features *torch.Tensor, t family.Texts) (family.Session, error) {
	return w.Decoder.Start(features, t.Images, t.Rows, t.Length)
}

// openCaptioner describes a captioner.
func openCaptioner(f family.Files) (*family.Captioner, error) {
	if what := otherTask(f); what != "" {
		return nil, notForCaptions(what)
	}
	if f.Folder {
		return openFolder(f)
	}
	return openLAVIS(f)
}

// vet refuses by its class what openCaptioner refuses by its tensors.
func vet(f family.Files) error {
	tasks := map[string]string{"BlipForQuestionAnswering": "questions", "BlipForImageTextRetrieval": "retrieval",
		"BlipModel": "features"}
	for _, class := range f.Architectures {
		if what := tasks[class]; what != "" {
			return notForCaptions(what)
		}
	}
	return nil
}

func notForCaptions(task string) error {
	return &family.ForeignError{
		Found: "a BLIP for " + task, Want: "one for captions, BlipForConditionalGeneration",
		Remedy: "Salesforce/blip-image-captioning-base and -large write captions",
	}
}

// otherTask says what a BLIP without a caption decoder is for.
func otherTask(f family.Files) string {
	has := func(part string) bool {
		return slices.ContainsFunc(f.Source.Names(), func(name string) bool { return strings.Contains(name, part) })
	}
	switch {
	case has("text_decoder.") && has("text_encoder."):
		return "questions"
	case has("itm_head."):
		return "retrieval"
	case !has("text_decoder."):
		return "features"
	}
	return ""
}

// openFolder describes a folder of Hugging Face.
func openFolder(f family.Files) (*family.Captioner, error) {
	var config struct {
		Text   json.RawMessage `json:"text_config"`
		Vision json.RawMessage `json:"vision_config"`
	}
	if err := encoder.ReadJSON(f.Beside, "config.json", &config); err != nil {
		return nil, err
	}
	config.Text, config.Vision = orEmpty(config.Text), orEmpty(config.Vision)
	text, err := ParseTextConfig(config.Text)
	if err != nil {
		return nil, fmt.Errorf("read config.json: %w", err)
	}
	c, err := describe(f, text)
	if err != nil {
		return nil, err
	}
	if err := text.Matches(c.Source, family.DecoderPrefix+"bert."); err != nil {
		return nil, fmt.Errorf("read config.json: text_config: %w", err)
	}
	ties := struct {
		Words bool `json:"tie_word_embeddings"`
	}{true}
	if err := json.Unmarshal(config.Text, &ties); err != nil {
		return nil, fmt.Errorf("read config.json: text_config: %w", err)
	}
	if ties.Words { // a file may hold both, even of different values: transformers takes the embedding
		if c.Source, err = withoutHead(c.Source, family.DecoderPrefix); err != nil {
			return nil, err
		}
	}
	if err := configure(&c.Config.Encoder, config.Vision); err != nil {
		return nil, fmt.Errorf("read config.json: vision_config: %w", err)
	}
	if err := c.Config.Encoder.ReadProcessor(f.Beside); err != nil {
		return nil, err
	}
	if c.Tokenizer, err = bert.ReadTokenizer(f.Beside, text.VocabSize); err != nil {
		return nil, err
	}
	if c.Config.Decoding, err = decoding(config.Text, text.Positions); err != nil {
		return nil, fmt.Errorf("read config.json: text_config: %w", err)
	}
	if c.Config.Decoding.Opening, err = family.ReadOpening(f.Beside); err != nil {
		return nil, err
	}
	return c, c.Config.Validate()
}

// orEmpty is a section of a config.json, or one that says nothing: all is as the class has it.
func orEmpty(section json.RawMessage) json.RawMessage {
	if len(section) == 0 || string(section) == "null" {
		return json.RawMessage("{}")
	}
	return section
}

// decoding is how Hugging Face's BLIP generates. It reads the settings of text_config: those of
// generation_config.json never reach its text decoder. A caption ends with [SEP], whatever eos_token_id says.
func decoding(text json.RawMessage, positions int64) (family.Decoding, error) {
	special := struct {
		Begin int32 `json:"bos_token_id"`
		End   int32 `json:"sep_token_id"`
	}{30522, 102} // BlipTextConfig's
	if err := json.Unmarshal(text, &special); err != nil {
		return family.Decoding{}, err
	}
	d, err := family.ReadGeneration(section(text), positions)
	d.Begin, d.End, d.Ends = &special.Begin, &special.End, nil
	return d, err
}

// section is a folder of one file: a section of a config.json, as a config.json.
type section []byte

// Read gives the section.
func (s section) Read(name string) ([]byte, error) {
	if name != "config.json" {
		return nil, fs.ErrNotExist
	}
	return s, nil
}

// configure takes from vision_config what no weight says.
func configure(e *encoder.Config, config json.RawMessage) error {
	own := struct {
		encoder.Sizes
		Heads      int64   `json:"num_attention_heads"`
		Activation string  `json:"hidden_act"`
		Epsilon    float64 `json:"layer_norm_eps"`
	}{Heads: 12, Activation: "gelu", Epsilon: 1e-5} // BlipVisionConfig's
	if err := json.Unmarshal(config, &own); err != nil {
		return err
	}
	c := e.Encoder.(Tower)
	if own.Activation != "gelu" {
		return fmt.Errorf("found hidden_act %q, want gelu", own.Activation)
	}
	c.Heads, c.NormEpsilon = own.Heads, own.Epsilon
	if err := own.Agree(c.Width, int64(c.Layers), c.MLP, c.ImageSize, c.PatchSize); err != nil {
		return err
	}
	*e = Describe(c.Config)
	return nil
}

// openLAVIS describes a file of LAVIS or of BLIP's authors, with the settings of LAVIS's generate and of its published
// configurations (LAVIS 1.0.2, blip_caption.py, blip_caption_base_coco.yaml): the prompt "a picture of ", which
// captions leave out, a beam of 3, and 10 to 30 tokens with begin, prompt and end.
func openLAVIS(f family.Files) (*family.Captioner, error) {
	view, err := TextKeys(f.Source)
	if err != nil {
		return nil, err
	}
	text, err := bert.ConfigOf(view, "bert.")
	if err != nil {
		return nil, err
	}
	if text.Heads, err = f.DecoderHeads(text.Width, 0, text.Heads); err != nil {
		return nil, err
	}
	c, err := describe(f, Decoder{Config: text})
	if err != nil {
		return nil, err
	}
	t := c.Config.Encoder.Encoder.(Tower)
	if t.Heads, err = f.Heads.Choose(encoder.EncoderPart, t.Width, 0, t.Heads); err != nil {
		return nil, err
	}
	c.Config.Encoder.Encoder = t
	c.Config.Encoder.Preprocess.CutGrey = true // LAVIS makes images RGB by Pillow
	begin := tokenizer.AddedToken{Content: "[DEC]", Special: true}
	words := tokenizer.BERTUncased(begin, tokenizer.AddedToken{Content: "[ENC]", Special: true}).CleaningSpaces(true)
	if int64(words.VocabSize()) != text.VocabSize {
		const message = "found a text decoder of %d tokens, want the %d of bert-base-uncased with LAVIS's own"
		return nil, fmt.Errorf(message, text.VocabSize, words.VocabSize())
	}
	first, _ := words.ID(begin.Content)
	last := words.EOS()
	c.Tokenizer = words
	c.Config.Decoding = family.Decoding{
		Opening: "a picture of", Beam: 3, LengthPenalty: 1, EarlyStopping: decode.StopLAVIS, Begin: &first, End: &last,
		MaxLen: 30 - 1, MinLen: 10 - 1, MaxLenOfAll: true, MinLenOfAll: true, // without begin, which LAVIS counts
	}
	return c, c.Config.Validate()
}

// describe is what both layouts have in common: the text decoder, and the vision tower of which it sees all tokens.
func describe(f family.Files, text Decoder) (*family.Captioner, error) {
	tower, image, err := open(f.Source)
	if err != nil {
		return nil, err
	}
	words, err := TextKeys(f.Source)
	if err != nil {
		return nil, err
	}
	words, err = weights.Rename(words, weights.Prefix("", family.DecoderPrefix))
	if err != nil {
		return nil, err
	}
	name := f.Name()
	c := &family.Captioner{
		Config: family.Config{Name: name, Encoder: tower, Decoder: text},
		Card:   family.UnknownCard(name, tower.Architecture),
	}
	if c.Config.Memory, err = encoder.NewMemory(tower, encoder.Tokens, 0); err != nil {
		return nil, err
	}
	c.Source, err = weights.Join(words, image)
	return c, err
}
