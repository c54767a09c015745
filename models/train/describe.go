package train

import (
	"fmt"

	"captioner/models/crossgpt2"
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

// describeInit takes words, shape and encoder from a model file.
func (t *trainer) describeInit() error {
	f, err := t.openCaptioner(t.Init)
	if err != nil {
		return err
	}
	defer f.Close()
	if t.tok, err = f.BPE(); err != nil {
		return err
	}
	t.config, t.card = f.Config, f.Card
	t.card.UncertainBelow = 0 // was measured on the captions of the model before
	if t.encoder, err = f.EncoderTensors(); err != nil {
		return err
	}
	t.config.Name = t.Name
	if net, ok := crossgpt2.Sizes(t.config); ok { // other captioners are refused where the model is loaded
		if t.ExtendVocab {
			if err := t.extendVocabulary(); err != nil {
				return fmt.Errorf("extend the vocabulary of %q: %w", t.Init, err)
			}
			net.VocabSize = int64(t.tok.VocabSize())
		}
		net.ResidualDrop, net.EmbeddingDrop, net.AttentionDrop = t.Dropout, t.InputDropout, t.AttentionDropout
		t.config.Decoder, t.config.Memory.Dropout = crossgpt2.Decoder{Config: net}, t.InputDropout
	}
	return t.prepareText()
}

// prepareText turns captions into tokens and fills in the card.
func (t *trainer) prepareText() error {
	_, longest, _ := t.config.Decoder.Sizes()
	positions := int(longest) - 1
	long := t.train.encode(t.tok, positions, t.Verbatim)
	t.val.encode(t.tok, positions, t.Verbatim)
	if long.captions > 0 && t.Learns() {
		t.warn("captions that are longer than %s, the limit of positions, are cut: %d of %s; the longest has %d",
			plural.Count(positions, "token"), long.captions, plural.Count(t.train.captions(), "caption"), long.longest)
	}
	if t.TextEpochs > 0 {
		if err := t.readText(positions); err != nil {
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
