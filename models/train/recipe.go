package train

import (
	"fmt"

	"captioner/models/checkpoint"
	"captioner/models/decode"
	"captioner/models/encoder"
	"captioner/models/family"
	"captioner/models/gpt2"
)

// The recipes that have a name.
const (
	RecipeOriginal   = "clip-text-decoder" // the newest version of the Python package, 1.4
	RecipeOriginal12 = "clip-text-decoder-1.2"
	RecipeOriginal14 = "clip-text-decoder-1.4"
)

// RecipeOptions are the defaults under a recipe; "" is DefaultOptions.
//
// clip-text-decoder trains with AdamW at a constant rate, decaying every weight, on one caption of each picture a round, and counts the end
// token that it pads captions with as words to learn (train.py and model.py at tags 1.2.0 and 1.4.4). Versions differ in AdamW's beta2, in how
// long they wait for a better loss, and in the decoder's beam.
func RecipeOptions(recipe string) (Options, error) {
	o := DefaultOptions()
	if o.Recipe = recipe; recipe == "" {
		return o, nil
	}
	switch recipe {
	case RecipeOriginal, RecipeOriginal14:
		o.Encoder, o.Beta2, o.Patience = "blip:base", .999, 5
	case RecipeOriginal12:
		o.Encoder, o.Beta2, o.Patience = "ViT-B/32", .98, 3
	default:
		return o, fmt.Errorf("recipe: found %q, want %s, %s or %s", recipe, RecipeOriginal, RecipeOriginal12, RecipeOriginal14)
	}
	o.LanguageModel, o.Memory, o.Positions = "distilgpt2", encoder.PooledPadded, 64
	o.Dropout, o.InputDropout, o.AttentionDropout = .1, .1, .1
	o.Epochs, o.BatchSize, o.Accumulate, o.Captions, o.Flip, o.TextEpochs = 10, 32, 4, 1, false, 0
	o.LR, o.Warmup, o.Schedule, o.WeightDecay, o.DecayAll, o.Beta1, o.Clip, o.Smoothing, o.EMA = 1e-4, 0, "constant", .01, true, .9, 0, 0, 0
	o.Padded, o.Verbatim = true, true
	o.Precision, o.Monitor, o.Beam, o.Penalty = "16", "val_loss", 1, 0
	return o, nil
}

// original says whether the run follows clip-text-decoder.
func (o Options) original() bool { return o.Recipe != "" }

// pack makes a batch of captions: without padding, or with padding that counts, and is hidden from the attention but for the first place of it,
// as clip-text-decoder's collate_fn and GPT2LMHeadModel have it.
func (l *learner) pack(rows [][]int32) (*gpt2.Batch, error) {
	if !l.Padded {
		return gpt2.PackRounded(rows, l.device)
	}
	end := l.tok.EOS()
	return gpt2.Pad(rows, gpt2.Padding{Token: end, Target: int64(end), Mask: true, End: true}, l.device)
}

// network is the shape of the decoder: new, or that of a language model, with its words.
func (t *trainer) network() (gpt2.Config, error) {
	if t.LanguageModel == "" {
		var err error
		t.tok, err = vocabulary(t.train, t.MinCount)
		if err != nil {
			return gpt2.Config{}, err
		}
		return gpt2.Config{VocabSize: int64(t.tok.VocabSize()), Positions: t.Positions + 1, Width: t.Width, Layers: t.Layers, Heads: t.Heads,
			Activation: "gelu_new", Epsilon: 1e-5, ResidualDrop: t.Dropout, EmbeddingDrop: t.InputDropout, AttentionDrop: t.AttentionDropout,
			InitRange: .02, CrossAttention: true}, nil
	}
	l, err := checkpoint.OpenLanguage(t.LanguageModel)
	if err != nil {
		return gpt2.Config{}, err
	}
	defer l.Close()
	t.tok = l.Tokenizer
	c := l.Config
	c.ResidualDrop, c.EmbeddingDrop, c.AttentionDrop = t.Dropout, t.InputDropout, t.AttentionDropout
	return c, nil
}

// decodes is how the captioner is meant to be decoded.
func (t *trainer) decodes(net gpt2.Config) family.Decoding {
	longest := int(min(t.Positions, net.Positions))
	if t.original() {
		return family.Decoding{Rule: decode.Python, Beam: t.Beam, MaxLen: longest}
	}
	return family.Decoding{Beam: t.Beam, LengthPenalty: t.Penalty, MaxLen: longest, NoRepeatNGram: 3}
}

// fill starts the decoder from the language model, where there is one.
func (t *trainer) fill() error {
	if t.LanguageModel == "" {
		return nil
	}
	l, err := checkpoint.OpenLanguage(t.LanguageModel)
	if err != nil {
		return err
	}
	defer l.Close()
	return l.Fill(t.model.Decoder)
}
