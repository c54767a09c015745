package family

import (
	"captioner/models/batch"
	"captioner/models/encoder"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
)

// Trainable is a Decoder that goes on learning from captions.
type Trainable interface {
	Decoder
	// Depth is how many layers the decoder has.
	Depth() int
	// Habits are how the family learns where nobody says otherwise; nil: as package train's own captioners do.
	Habits() *Habits
	// WithDropout is the decoder with other probabilities of dropout. A family without one of them leaves it out.
	WithDropout(d Dropout) Trainable
	// LoadLearner reads memory and decoder for training, in float32. The tensors of src have the names of a model file.
	// Options hold the device, the names to ignore, and that the memory is the learner's own.
	LoadLearner(src weights.Source, m encoder.Memory, o nn.LoadOptions) (Learner, error)
}

// Dropout is the probabilities with which numbers are dropped while a decoder learns, 0 to less than 1.
type Dropout struct {
	Parts     float64 // of what each part of a layer adds
	Input     float64 // of embeddings and memory
	Attention float64 // of the weights of an attention
}

// Habits are the settings that a family was trained with.
type Habits struct {
	LR, EncoderLR, SCSTLR float64
	Dropout               Dropout
	LabelSmoothing        float64
}

// Learner is memory and decoder loaded for training. Its gradients flow. Free releases it.
type Learner interface {
	// Module holds the weights under the tags that nn walks over; their names are those of a model file.
	Module() any
	// Logits gives [N, V] for every token of the batch that has a target, from features [G, P, C] of its images, G
	// dividing its rows; features nil is text alone. train turns dropout on.
	Logits(b *batch.Texts, features *torch.Tensor, train bool) *torch.Tensor
	// Shares says whether Logits takes batches that batch.Share made.
	Shares() bool
	// Bare says whether a weight has no decay, by its name, though it is no vector: it is one a position.
	Bare(name string) bool
	// Writer prepares the weights as they are for inference in type d. To be freed before the learner is.
	Writer(d torch.DType) Writer
	Free()
}

// Trains says whether training goes on from captioners of the family.
func (f Family) Trains() bool {
	if f.Parse == nil {
		return false
	}
	d, err := f.Parse([]byte("{}"))
	_, ok := d.(Trainable)
	return err == nil && ok
}
