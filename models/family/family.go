// Package family is the contract of captioners: what a kind of captioner, a family, has to say and do to be opened,
// described and run. It knows no family. Each stands in a room of its own and gives one [Family], a row of the table in
// package checkpoint.
//
//   - A [Decoder] is the sizes of a text decoder, and knows how to load it. A [Config] is a whole captioner as a model
//     file describes it: encoder, memory, decoder, and how it is decoded.
//   - A [Writer] is a decoder loaded for inference: from an image's features it starts a [Session], which gives the
//     next tokens of texts. [Search] runs the searches of package decode over one.
//   - A [Family] recognizes and opens the checkpoints of one kind.
//
// Letters in shapes: B images, P positions, C channels, R rows (the texts of all images), V vocabulary. Whatever takes
// or gives tensors runs inside torch.Do.
package family

import (
	"encoding/json"
	"path/filepath"
	"strings"

	"captioner/data/tokenizer"
	"captioner/models/decode"
	"captioner/models/encoder"
	"captioner/torch"
	"captioner/torch/nn"
	"captioner/weights"
)

// The beginnings of the names of tensors in a model file, beside encoder.Prefix.
const (
	DecoderPrefix = "decoder." // of the text decoder
	MemoryPrefix  = "memory."  // of what stands between encoder and decoder
)

// Decoder is the sizes of a text decoder. Its JSON stands in a model file under Key.
type Decoder interface {
	// Key names the family in the JSON of a model file: "git".
	Key() string
	// Validate reports sizes that do not fit each other, and what does not fit the memory of the encoder.
	Validate(m encoder.Memory, architecture string) error
	// Sizes are the tokens of the vocabulary, the most tokens of a text, and the channels of a token.
	Sizes() (vocabulary, positions, width int64)
	// Load reads the decoder for inference in type d. The tensors of src have the names of a model file: "decoder.…".
	// Options hold the device and the names to ignore.
	Load(src weights.Source, m encoder.Memory, o nn.LoadOptions, d torch.DType) (Writer, error)
}

// Prompted is a Decoder that reads a prompt beside the image.
type Prompted interface {
	Decoder
	// Reading says how, with the captioner's tokenizer and memory.
	Reading(t tokenizer.Codec, m encoder.Memory) *decode.Reading
}

// Speller is a Decoder whose captions are spelled in a way of its own.
type Speller interface {
	Decoder
	// Spell gives the text of a caption's tokens.
	Spell(t tokenizer.Codec, tokens []int32) string
}

// Writer is a decoder loaded for inference. Free releases it.
type Writer interface {
	// Start begins texts about images, from their features [B, P, C] in float32, as the encoder gives them.
	Start(features *torch.Tensor, t Texts) (Session, error)
	Free()
}

// Holder is a Writer whose sessions hold much of an image.
type Holder interface {
	Writer
	// Holds is the bytes that a session keeps of an image with so many positions, beside its texts.
	Holds(positions int64) int64
}

// Texts says how much is going to be written.
type Texts struct {
	Images int // of the batch
	Rows   int // texts of an image at once, once there is more than one; more are allowed, at the price of more memory
	Length int // most tokens of a text, those of a prompt that it begins with included
	// Prompt is tokens that the decoder reads beside the image, and that are no part of the text: the input of an
	// encoder-decoder. It is given only to a Prompted one.
	Prompt []int32
}

// Session continues the texts of one batch, a token a step. It is for one goroutine. Free ends it.
//
// The rows of a step are the texts: those of one image stand next to each other, each image has as many, and images
// keep their order; an image whose rows nobody continues is finished and leaves the batch.
type Session interface {
	// Step feeds tokens[r] to row r, which continues row parents[r] of the step before (nil at the first step: one row
	// an image). It gives for each row its k best next tokens, best first, with their log-probabilities under the
	// softmax of the whole vocabulary; ties: the lower id first. ban lists tokens that a row must not return. Both
	// results are [R*k]; where a row has fewer than k tokens left, the id is -1.
	Step(parents, tokens []int32, k int, ban [][]int32) (ids []int32, logProbs []float32, err error)
	// Logits is Step without the choice: the logits of the next token, [R, V] in float32, in the scope of the caller.
	Logits(parents, tokens []int32) (*torch.Tensor, error)
	Free()
}

// Family is a kind of captioner: a row of the table in package checkpoint.
type Family struct {
	Name string // for people: "GIT"
	Key  string // of the decoder's sizes in the JSON of a model file: "git"
	// Parse reads the decoder's sizes from there.
	Parse func(sizes json.RawMessage) (Decoder, error)

	// Classes are those of Hugging Face that the family opens. They say which repositories are worth fetching, before
	// there are weights to recognize. None: a model_type that is Key.
	Classes []encoder.Class
	// Vet says what the descriptions alone have against a checkpoint of one of Classes, before its weights are fetched;
	// f.Source is nil. Nil: nothing. What is another model's task is a *ForeignError.
	Vet func(f Files) error
	// TokenizerFiles are the files one of which a checkpoint of Classes needs; none: the family has a tokenizer itself.
	TokenizerFiles []string

	// Recognize says whether a published checkpoint is of this family, by its config.json or the names of its tensors.
	// Rows are asked in the order of the table.
	Recognize func(f Files) bool
	// Open describes a published checkpoint. The captioner that it gives owns the tensors of f; after an error the
	// caller does. Nil: the family has no files but this program's own.
	Open func(f Files) (*Captioner, error)
}

// Parse reads the sizes of a decoder from JSON.
func Parse[D Decoder](sizes json.RawMessage) (Decoder, error) {
	var d D
	err := json.Unmarshal(sizes, &d)
	return d, err
}

// Files is a checkpoint that a family may claim.
type Files struct {
	Path   string         // as the user gave it: a file or a folder
	Source weights.Source // the tensors, by the names that they have there
	Beside encoder.Folder // the text files in the folder of the weights
	Folder bool           // it is a folder as Hugging Face saves one, so that Beside describes these very weights

	Encoders encoder.Table  // that are known, for a family that takes any of them
	Heads    *encoder.Heads // what the user says of heads, for a family whose files may not say them

	// What config.json of such a folder says: "git", ["GitForCausalLM"].
	ModelType     string
	Architectures []string
}

// Name is a name for the model: that of its file or folder, and of a snapshot in the cache of the Hugging Face hub that
// of the repository.
func (f Files) Name() string {
	path := filepath.Clean(f.Path)
	if snapshots := filepath.Dir(path); filepath.Base(snapshots) == "snapshots" {
		repo, ok := strings.CutPrefix(filepath.Base(filepath.Dir(snapshots)), "models--")
		if _, name, nested := strings.Cut(repo, "--"); ok && nested {
			return name
		}
		if ok {
			return repo
		}
	}
	if f.Folder {
		return filepath.Base(path)
	}
	return strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
}

// DecoderHeads is the number of heads of a decoder of some width: what its files say, what the user gave, or what is
// usual for the width; 0 is nothing said, nothing usual.
func (f Files) DecoderHeads(width, said, usual int64) (int64, error) {
	return f.Heads.Choose(encoder.DecoderPart, width, said, usual)
}

// Captioner is a captioner that a family found in a checkpoint.
type Captioner struct {
	Config    Config
	Card      Card
	Tokenizer tokenizer.Codec
	// Source holds the tensors by the names of a model file: encoder.Prefix, DecoderPrefix and MemoryPrefix before each.
	Source weights.Source
	// Mismatch says why the encoder that the checkpoint names cannot be its own; see ExpectEncoder.
	Mismatch error
}

// ExpectEncoder notes the encoder that the decoder was trained with, of a checkpoint that does not hold it: its name is
// known, its weights come from elsewhere. The zero Config is an encoder that the checkpoint does not name. Where the
// name cannot be true, as clip-text-decoder writes one for whoever trained on embeddings of his own, the contradiction
// is kept for those who bring no encoder.
func (c *Captioner) ExpectEncoder(e encoder.Config, kind string) error {
	_, _, width := c.Config.Decoder.Sizes()
	if e.Architecture != "" {
		m, err := encoder.NewMemory(e, kind, 0)
		if err != nil {
			return err
		}
		c.Config.Encoder, c.Config.Memory = e, m
		if c.Mismatch = c.Config.ValidateDecoder(); c.Mismatch == nil {
			return nil
		}
	}
	c.Config.Encoder, c.Config.Memory = encoder.Config{}, encoder.Memory{Kind: kind, In: width} // any that fits will do
	if c.Mismatch != nil {
		return c.Config.ValidateDecoder()
	}
	return nil
}
