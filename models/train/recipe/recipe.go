package recipe

import (
	"fmt"

	"captioner/models/encoder"
)

// The recipes that have a name.
const (
	Original   = "clip-text-decoder" // the newest version of the Python package, 1.4
	Original12 = "clip-text-decoder-1.2"
	Original14 = "clip-text-decoder-1.4"
)

// Named are the defaults under a recipe; "" is Default.
//
// clip-text-decoder trains with AdamW at a constant rate, decaying every weight, on one caption of each image an
// epoch, and counts the end token that it pads captions with as words to learn (train.py and model.py at tags 1.2.0
// and 1.4.4). Versions differ in AdamW's beta2, in how long they wait for a better loss, and in the decoder's beam.
func Named(recipe string) (Options, error) {
	o := Default()
	if o.Recipe = recipe; recipe == "" {
		return o, nil
	}
	switch recipe {
	case Original, Original14:
		o.Encoder, o.Beta2, o.Patience = "blip:base", .999, 5
	case Original12:
		o.Encoder, o.Beta2, o.Patience = "ViT-B/32", .98, 3
	default:
		return o, fmt.Errorf("recipe: found %q, want %s, %s or %s",
			recipe, Original, Original12, Original14)
	}
	o.Fit = Fit{}
	o.LanguageModel, o.Memory, o.Positions = "distilgpt2", encoder.PooledPadded, 64
	o.Dropout, o.InputDropout, o.AttentionDropout = .1, .1, .1
	o.Epochs, o.BatchSize, o.Accumulate, o.Captions, o.Flip, o.TextEpochs = 10, 32, 4, 1, false, 0
	o.LR, o.Warmup, o.Schedule = 1e-4, 0, "constant"
	o.WeightDecay, o.DecayAll, o.Beta1 = .01, true, .9
	o.Clip, o.LabelSmoothing, o.EMA = 0, 0, 0
	o.Padded, o.Verbatim = true, true
	o.Precision, o.Monitor, o.Beam, o.LengthPenalty = "16", "val_loss", 1, 0
	return o, nil
}

// FollowsOriginal says whether the run follows clip-text-decoder.
func (o Options) FollowsOriginal() bool { return o.Recipe != "" }
