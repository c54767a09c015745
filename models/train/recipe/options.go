// Package recipe is all that may be chosen about a training: its options, their defaults, what is wrong with them, and
// what gives way where there are few images.
package recipe

import (
	"encoding/json"
	"errors"
	"slices"

	"captioner/models/checkpoint"
	"captioner/models/encoder"
	"captioner/torch/dist"
	"captioner/weights/mistakes"
)

// Options are all settings of a run. Start from Default: zero is a real value in several fields. Their JSON is
// options.json.
type Options struct {
	Recipe string `json:"recipe,omitempty"` // whose defaults these are: "", or one that Named knows

	// Data.
	Data        string   `json:"data"`             // captions to train on, in any form that package data knows
	Images      string   `json:"images,omitempty"` // folder of its images; "" looks beside the captions
	Val         string   `json:"val"`              // captions to measure on; "" takes ValFraction of Data
	ValImages   string   `json:"val_images,omitempty"`
	ValFraction float64  `json:"val_fraction"`   // share of Data to measure on where Val is ""
	Text        []string `json:"text,omitempty"` // files of plain text, a sentence a line, to pretrain the decoder on
	SkipBad     bool     `json:"skip_bad"`       // go on without images that cannot be read

	// Where things are.
	Encoder     string `json:"encoder"`      // checkpoint of the encoder
	EncoderName string `json:"encoder_name"` // its architecture, as a check; "" takes what it is
	// EncoderHeads are its attention heads, for a file that does not say them; 0 is not given.
	EncoderHeads int64 `json:"encoder_heads,omitempty"`
	// EncoderActivation is that of a CLIP, for files that do not say it: encoder.GELU or encoder.QuickGELU; "" is not
	// given.
	EncoderActivation string `json:"encoder_activation,omitempty"`

	Cache string `json:"cache"`          // folder of cached features; "" is the user's cache folder
	Init  string `json:"init,omitempty"` // model file to start from instead of new weights

	// Network.
	Memory           string  `json:"memory,omitempty"` // encoder.Grid and the like; "" is what suits the encoder
	Width            int64   `json:"width"`
	Layers           int     `json:"layers"`
	Heads            int64   `json:"heads"`
	Positions        int64   `json:"positions"`              // longest caption in tokens, with its end
	VocabMinCount    int64   `json:"vocab_min_count"`        // a token used less often is spelt from smaller ones
	ExtendVocab      bool    `json:"extend_vocab,omitempty"` // add such tokens to those of Init
	Dropout          float64 `json:"dropout"`                // of what each part adds
	InputDropout     float64 `json:"input_dropout"`          // of embeddings and memory
	AttentionDropout float64 `json:"attention_dropout"`      // of the decoder's attention
	// LanguageModel is a GPT-2 to start the decoder from: a file or a folder. Its sizes and tokenizer replace those
	// above.
	LanguageModel string `json:"language_model,omitempty"`
	MemoryLayers  int    `json:"memory_layers"` // of attention between the positions of the memory

	// How images are shown, and the encoder where it learns too.
	//
	// Views are the cached ways of showing each image: whole, mirrored (with Flip), crops; 0 is without crops. Flip
	// shows half of the images mirrored, but those whose captions speak of left or right. EncoderFrom is the stage (of
	// a ViT: block) that the encoder learns from on; 0 is all of it, with images decoded anew each time, and -1 is what
	// suits it.
	Views        int     `json:"views"`
	CropShare    float64 `json:"crop_share"` // of an image's area that a crop shows at least
	Flip         bool    `json:"flip"`
	TrainEncoder bool    `json:"train_encoder"` // let the encoder learn with the rest
	EncoderFrom  int     `json:"encoder_from"`
	EncoderLR    float64 `json:"encoder_lr"`    // its highest learning rate where the rest has LR
	EncoderAfter float64 `json:"encoder_after"` // epochs before it begins to learn
	Recompute    bool    `json:"recompute"`     // compute its maps twice instead of keeping them for the gradient

	// Cross-entropy.
	Epochs         float64 `json:"max_epochs"`
	BatchSize      int     `json:"batch_size"`              // images
	Captions       int     `json:"captions_per_image"`      // of each image in a batch; 1 draws one of them each epoch
	Accumulate     int     `json:"accumulate_grad_batches"` // batches a step
	LR             float64 `json:"lr"`
	Warmup         int     `json:"warmup"` // steps
	Schedule       string  `json:"schedule"`
	LRFloor        float64 `json:"lr_floor"` // share of LR at the end
	WeightDecay    float64 `json:"weight_decay"`
	Beta1          float64 `json:"beta1"`
	Beta2          float64 `json:"beta2"`
	Clip           float64 `json:"clip"`
	LabelSmoothing float64 `json:"label_smoothing"`
	EMA            float64 `json:"ema"`               // 0: none
	DecayAll       bool    `json:"decay_all"`         // norms, biases and places decay too
	Padded         bool    `json:"loss_over_padding"` // pad captions with end tokens, which are learnt like words
	Verbatim       bool    `json:"verbatim"`          // learn captions as written; else without the last full stop
	Prompt         string  `json:"prompt,omitempty"`  // before every caption; itself not learned

	Fit Fit `json:"fit,omitzero"` // what of all this gives way where there are few images

	// Text before captions.
	TextEpochs float64 `json:"text_epochs"`

	// Self-critical training after captions (Rennie et al. 2017, with the mean of the other samples as the baseline).
	SCSTSteps       int     `json:"scst_steps"`
	SCSTBatch       int     `json:"scst_batch_size"`
	SCSTSamples     int     `json:"scst_samples"`
	SCSTLR          float64 `json:"scst_lr"`
	SCSTTemperature float64 `json:"scst_temperature"`
	SCSTEMA         float64 `json:"scst_ema"`
	SCSTEvery       int     `json:"scst_eval_every"`
	SCSTBLEU        float64 `json:"scst_bleu"` // weight of BLEU-4 beside CIDEr-D in the reward

	// How.
	Precision     string  `json:"precision"` // "fp32", "bf16", "fp16"
	Device        string  `json:"device"`
	Threads       int     `json:"threads"`
	Linear        string  `json:"linear,omitempty"` // what makes float32's linear layers: "onednn", "mkl"; "": the default
	Seed          int64   `json:"seed"`
	Beam          int     `json:"beam_size"` // of the last measurement, and of the model by default
	LengthPenalty float64 `json:"length_penalty"`
	Monitor       string  `json:"monitor"`             // chooses the best checkpoint: "cider", "bleu4" or "val_loss"
	Patience      int     `json:"patience"`            // measurements without a better one that end captions; 0: never
	SaveEvery     int     `json:"save_every"`          // steps between checkpoints
	LogEvery      int     `json:"log_every,omitempty"` // steps a line of metrics.jsonl sums up; 0: 10
	Keep          int     `json:"keep"`                // model files of measurements to keep beside the best and the last

	Version string `json:"-"` // of the program, for environment.json

	Group *dist.Group `json:"-"` // processes that share the run, each of which calls Run alike; nil for this one alone

	DryRun bool `json:"-"` // tell the plan, take two steps of each phase, and write nothing

	// What the card says.
	Name    string `json:"name"`
	Licence string `json:"licence,omitempty"`
	Command string `json:"command,omitempty"`

	// Architectures are the encoders and captioners that are known; nil is checkpoint.Known.
	Architectures *checkpoint.Architectures `json:"-"`
}

// Default are the recipe of the embedded model: a small decoder that trains in minutes on two CPU cores.
func Default() Options {
	return Options{
		ValFraction: .05,
		Width:       256, Layers: 3, Heads: 4, Positions: 32, VocabMinCount: 5, Dropout: .2, InputDropout: .1,
		Epochs: 10, BatchSize: 32, Captions: 5, Accumulate: 1, LR: 1e-3, Warmup: 200, Schedule: "cosine", LRFloor: .02,
		WeightDecay: .05, Beta1: .9, Beta2: .98, Clip: 1, LabelSmoothing: .1, EMA: .997,
		Fit:       Fit{Warmup: true, EMA: true, Vocab: true, MinSteps: 300, MinVal: 10, Own: slices.Clone(own)},
		CropShare: .6, Flip: true, EncoderFrom: -1, EncoderLR: 1e-4,
		TextEpochs: 1,
		SCSTBatch:  50, SCSTSamples: 5, SCSTLR: 3e-5, SCSTTemperature: .7, SCSTEMA: .98, SCSTEvery: 30,
		Precision: "bf16", Device: "auto", Beam: 3, LengthPenalty: .7, Monitor: "cider", SaveEvery: 200, Name: "captioner",
	}
}

// schedules are how the learning rate goes on after its rise. Under Plateau it is halved after each two measurements
// without a better one.
var schedules = []string{"cosine", "linear", "constant", Plateau}

// Plateau is the schedule that follows the measurements.
const Plateau = "plateau"

// Validate reports everything that is wrong with o, joined in one error.
func (o Options) Validate() error {
	var wrong mistakes.List
	o.validateData(&wrong)
	o.validateNetwork(&wrong)
	o.validateVision(&wrong)
	o.validateCrossEntropy(&wrong)
	o.validateSCST(&wrong)
	o.validateRun(&wrong)
	return errors.Join(wrong...)
}

func (o Options) validateData(wrong *mistakes.List) {
	wrong.Check(o.Data != "", "data: none given")
	wrong.Check(o.Val != "" || o.ValFraction > 0 && o.ValFraction < 1,
		"val-fraction: found %g, want more than 0 and less than 1 where no val is given", o.ValFraction)
}

func (o Options) validateNetwork(wrong *mistakes.List) {
	wrong.Check(o.Encoder != "" || o.Init != "", "encoder: none given, want its checkpoint")
	wrong.Check(!o.ExtendVocab || o.Init != "",
		"extend-vocab: found no init, want the model whose vocabulary is extended")
	if o.Memory != "" {
		wrong.OneOf("memory", o.Memory, encoder.MemoryKinds...)
	}
	wrong.AtLeast(0, "encoder-heads", int64(o.EncoderHeads))
	if o.EncoderActivation != "" {
		wrong.OneOf("encoder-activation", o.EncoderActivation, encoder.Activations...)
	}
	wrong.AtLeast(1, "width", int64(o.Width))
	wrong.AtLeast(1, "layers", int64(o.Layers))
	wrong.Check(o.Heads > 0 && o.Width%max(o.Heads, 1) == 0, "heads: found %d, want a divisor of the width %d", o.Heads,
		o.Width)
	wrong.AtLeast(4, "positions", int64(o.Positions))
	wrong.Share("dropout", o.Dropout)
	wrong.Share("input-dropout", o.InputDropout)
	wrong.Share("attention-dropout", o.AttentionDropout)
	wrong.Check(o.MemoryLayers >= 0 && o.MemoryLayers <= 64, "memory-layers: found %d, want 0 to 64", o.MemoryLayers)
}

func (o Options) validateVision(wrong *mistakes.List) {
	wrong.Check(o.Views >= 0 && o.Views <= 1000, "views: found %d, want 0 to 1000", o.Views)
	wrong.Check(o.CropShare > 0 && o.CropShare <= 1, "crop-share: found %g, want more than 0 and at most 1", o.CropShare)
	wrong.AtLeast(-1, "encoder-from", int64(o.EncoderFrom))
	wrong.Check(o.EncoderLR > 0 && o.EncoderLR < 10, "encoder-lr: found %g, want more than 0 and less than 10",
		o.EncoderLR)
	wrong.Check(o.EncoderAfter >= 0, "encoder-after: found %g, want 0 or more", o.EncoderAfter)
}

func (o Options) validateCrossEntropy(wrong *mistakes.List) {
	wrong.Check(o.Prompt == "" || len(o.Text) == 0 && o.Recipe == "",
		"prompt: found a text or a recipe too, want neither")
	wrong.Check(o.Epochs >= 0 && o.Epochs <= 1e6, "max-epochs: found %g, want 0 or more", o.Epochs)
	wrong.AtLeast(1, "batch-size", int64(o.BatchSize))
	wrong.AtLeast(1, "captions-per-image", int64(o.Captions))
	wrong.AtLeast(1, "accumulate-grad-batches", int64(o.Accumulate))
	wrong.Check(o.LR > 0 && o.LR < 10, "lr: found %g, want more than 0 and less than 10", o.LR)
	wrong.AtLeast(0, "warmup", int64(o.Warmup))
	wrong.OneOf("schedule", o.Schedule, schedules...)
	wrong.Share("lr-floor", o.LRFloor)
	wrong.Check(o.WeightDecay >= 0, "weight-decay: found %g, want 0 or more", o.WeightDecay)
	wrong.Share("beta1", o.Beta1)
	wrong.Share("beta2", o.Beta2)
	wrong.Check(o.Clip >= 0, "clip: found %g, want 0 (off) or more", o.Clip)
	wrong.Share("label-smoothing", o.LabelSmoothing)
	wrong.Share("ema", o.EMA)
	wrong.Check(o.TextEpochs >= 0, "text-epochs: found %g, want 0 or more", o.TextEpochs)
}

func (o Options) validateSCST(wrong *mistakes.List) {
	wrong.Check(o.SCSTBLEU >= 0, "scst-bleu: found %g, want 0 or more", o.SCSTBLEU)
	wrong.AtLeast(0, "scst-steps", int64(o.SCSTSteps))
	if o.SCSTSteps <= 0 {
		return
	}
	wrong.AtLeast(1, "scst-batch-size", int64(o.SCSTBatch))
	wrong.AtLeast(2, "scst-samples", int64(o.SCSTSamples))
	wrong.Check(o.SCSTLR > 0, "scst-lr: found %g, want more than 0", o.SCSTLR)
	wrong.Check(o.SCSTTemperature > 0, "scst-temperature: found %g, want more than 0", o.SCSTTemperature)
	wrong.Share("scst-ema", o.SCSTEMA)
	wrong.AtLeast(1, "scst-eval-every", int64(o.SCSTEvery))
}

func (o Options) validateRun(wrong *mistakes.List) {
	wrong.OneOf("precision", o.Precision, "fp32", "bf16", "fp16")
	wrong.OneOf("monitor", o.Monitor, "cider", "bleu4", "val_loss")
	wrong.AtLeast(1, "beam-size", int64(o.Beam))
	wrong.AtLeast(0, "keep", int64(o.Keep))
	wrong.AtLeast(1, "save-every", int64(o.SaveEvery))
	wrong.AtLeast(0, "log-every", int64(o.LogEvery))
}

// Learns says whether there is anything to learn: a run of no epochs and no steps only measures.
func (o Options) Learns() bool {
	return o.Epochs > 0 || o.TextEpochs > 0 && len(o.Text) > 0 || o.SCSTSteps > 0
}

// StepsPerLine is how many steps a line of metrics.jsonl sums up.
func (o Options) StepsPerLine() int {
	if o.LogEvery > 0 {
		return o.LogEvery
	}
	return 10
}

// JSON is what options.json holds.
func (o Options) JSON() []byte {
	b, err := json.MarshalIndent(o, "", "  ")
	if err != nil { // a struct of strings and numbers
		panic(err)
	}
	return append(b, '\n')
}
