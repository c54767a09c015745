package train

import (
	"fmt"
	"slices"
	"strings"

	"captioner/models/checkpoint"
	"captioner/models/crossgpt2"
	"captioner/models/decode"
	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/torch"
	"captioner/weights/plural"
)

// describe settles the words and the shape of the captioner.
func (t *trainer) describe() error {
	if t.Init != "" {
		return t.describeInit()
	}
	vision, err := t.readEncoder()
	if err != nil {
		return err
	}
	memory, err := encoder.NewMemory(vision, t.Memory, t.InputDropout)
	if err != nil {
		return err
	}
	net, err := t.decoderConfig()
	if err != nil {
		return err
	}
	if memory.Layers = t.MemoryLayers; memory.Layers > 0 {
		memory.Heads = net.Heads
	}
	t.config = family.Config{
		Name: t.Name, Encoder: vision, Memory: memory,
		Decoder: crossgpt2.Decoder{Config: net}, Decoding: t.decodes(net),
	}
	t.card.Encoder = fmt.Sprintf("%s, SHA-256 %s", vision.Architecture, vision.SHA256)
	return t.prepareText()
}

// describeInit takes words, shape and encoder from a captioner, and from its family what nobody has chosen.
func (t *trainer) describeInit() error {
	f, err := t.openCaptioner(t.Init)
	if err != nil {
		return err
	}
	defer f.Close()
	d, err := t.Architectures.OrKnown().Trainable(f)
	if err != nil {
		return &checkpoint.Error{Doing: "train on from", Path: t.Init, Err: err}
	}
	if h := d.Habits(); h != nil {
		t.Take(h)
		if t.InputDropout > 0 {
			t.warn("%s has no dropout of what enters the decoder: input-dropout changes nothing", f.Family)
		}
	}
	t.config, t.card, t.tok = f.Config, f.Card, f.Tokenizer
	t.card.UncertainBelow = 0 // was measured on the captions of the model before
	if t.encoder, err = f.EncoderTensors(); err != nil {
		return err
	}
	t.config.Name = t.Name
	d = d.WithDropout(t.drop())
	t.config.Decoder, t.config.Memory.Dropout = d, t.InputDropout
	if t.ExtendVocab {
		if err := t.extendVocabulary(f); err != nil {
			return fmt.Errorf("extend the vocabulary of %q: %w", t.Init, err)
		}
		if g, ok := d.(crossgpt2.Decoder); ok {
			g.VocabSize = int64(t.tok.VocabSize())
			t.config.Decoder = g
		}
	}
	return t.prepareText()
}

// shortest is the fewest tokens that a prompt leaves for captions.
const shortest = 3

// settlePrompt takes Prompt, or the prompt that captions of Init begin with, and makes it the captioner's own. A Prompt
// of spaces is none.
func (j *job) settlePrompt() {
	text := j.Prompt
	if own := j.config.Decoding.Opening; text == "" && own != "" {
		text = own
		j.tell(Event{Note: fmt.Sprintf("captions begin with %q, as those of %q do", own, j.Init)})
	}
	text = strings.TrimSpace(text)
	j.config.Decoding.Opening, j.prompt = "", nil
	if text == "" {
		return
	}
	j.prompt = j.tok.Encode(text)
	if j.config.Decoding.Rule != decode.Search {
		return
	}
	if spelled := strings.TrimSpace(j.tok.Decode(j.prompt)); slices.Equal(j.tok.Encode(spelled), j.prompt) {
		text = spelled // as captions spell it, which leave it out
	}
	j.config.Decoding.Opening = text
}

// prepareText turns captions into tokens and fills in the card.
func (t *trainer) prepareText() error {
	t.settlePrompt()
	by := t.rows()
	if by.Longest < shortest {
		return fmt.Errorf("prompt: found %s, which leaves %d of %d positions for captions",
			plural.Count(len(t.prompt), "token"), max(by.Longest, 0), by.Longest+len(t.prompt))
	}
	long := t.train.encode(by, t.Verbatim)
	t.val.encode(by, t.Verbatim)
	if long.captions > 0 && t.Learns() {
		t.warn("captions that are longer than %s, the limit of positions, are cut: %d of %s; the longest has %d",
			plural.Count(by.Longest, "token"), long.captions, plural.Count(t.train.captions(), "caption"), long.longest)
	}
	if t.TextEpochs > 0 {
		if err := t.readText(by); err != nil {
			return err
		}
	}
	t.card.Name, t.card.Licence, t.card.Command, t.card.Seed = t.Name, t.Licence, t.Command, t.Seed
	told := t.Options
	told.Cache = "" // where a machine keeps its cache says nothing about the model
	t.card.Options = told.JSON()
	t.card.Tokeniser = "Stanford PTB as in coco-caption"
	t.card.Versions = map[string]string{"libtorch": torch.Version()}
	t.sizes()
	return nil
}
