// Package encoder is the contract of vision encoders: the pixels of images in, the features that a decoder looks at
// out. It knows no architecture. Each stands in a room of its own and gives one [Architecture], a row of the table in
// package checkpoint.
//
//   - An [Encoder] is the sizes of a network, and knows how to load it. A [Config] is an encoder as a model file
//     describes it: its sizes, what is done to an image before it, and where the weights come from.
//   - A [Network] is loaded for inference, a [Trainable] for training. [Runner] and [Tuner] hold one and feed it
//     pixels.
//   - A [Memory] says which of the features a decoder looks at.
//
// Letters in shapes: B images, P positions, C channels. Whatever takes or gives tensors runs inside torch.Do.
package encoder

import (
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
)

// Prefix begins the names of an encoder's tensors in a model file.
const Prefix = "encoder."

// Encoder is the sizes of a vision encoder. Its JSON stands in a model file under Key.
type Encoder interface {
	// Key names the architecture in the JSON of a model file: "clip".
	Key() string
	// Validate reports sizes that do not fit each other.
	Validate() error
	// Side is the side of its images in pixels; 0 takes any.
	Side() int64
	// Memory is the kind of memory that suits it where the user names none: Grid or Patches.
	Memory() string
	// Shape is the features of an image as m looks at them: how many positions of how many channels. Side is the image's,
	// in pixels. The error says why the encoder has no features of m's kind.
	Shape(m Memory, side int64) (positions, channels int64, err error)
	// Load reads the network for inference in type d. Options hold the prefix of the tensors' names, the device, and the
	// names to ignore.
	Load(src weights.Source, o nn.LoadOptions, d torch.DType) (Network, error)
}

// Network is an encoder loaded for inference. Free releases it.
type Network interface {
	// Features maps normalized images [B, 3, side, side] to what a memory looks at, [B, P, C] in float32. An image's
	// features do not depend on the other images.
	Features(x *torch.Tensor, m Memory) *torch.Tensor
	Free()
}

// Tunable is an Encoder of which the upper part, or all, can be trained. A stage is a block of a ViT, or a run of
// blocks.
type Tunable interface {
	Encoder
	// TuneStages is how many stages the network has that training can begin with; 0 where this one cannot be trained.
	TuneStages() int
	// LoadTrainable reads the network for training.
	LoadTrainable(src weights.Source, o nn.LoadOptions) (Trainable, error)
}

// Staged is the Network of a Tunable.
type Staged interface {
	Network
	// Lower maps normalized images [B, 3, side, side] to what enters a stage behind stage 0, [B, P, C] in float32.
	Lower(x *torch.Tensor, stage int) *torch.Tensor
}

// Trainable is an encoder loaded for training. Its gradients flow. Free releases it.
type Trainable interface {
	// Tunable marks the weights from a stage on, as far as m depends on them, as leaves that want gradients, and lists
	// them.
	Tunable(stage int, m Memory) ([]nn.Param, error)
	// Upper gives the features [B, P, C] as m looks at them, from what enters a stage; for stage 0 that is normalized
	// images.
	Upper(x *torch.Tensor, stage int, m Memory) *torch.Tensor
	// Module holds the weights under the tags that nn walks over.
	Module() any
	Free()
}
