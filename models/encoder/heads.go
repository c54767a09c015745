package encoder

import (
	"cmp"
	"fmt"
	"slices"
)

// Attention is an Encoder with attention. No weight says how many heads that has: files beside the weights do, or the
// width, which is a multiple of the same number in published models.
type Attention interface {
	Encoder
	Headed
	// WithHeads is the encoder with another number of heads; 0 is unknown.
	WithHeads(n int64) Encoder
}

// Headed is an encoder or a decoder with attention.
type Headed interface {
	// HeadCount is the number of heads and the channels that they share. 0 heads: it is not known.
	HeadCount() (heads, width int64)
}

// Part is a part of a captioner that has attention, as Heads names it.
type Part string

// The parts.
const (
	EncoderPart Part = "encoder"
	DecoderPart Part = "decoder"
	CLIPPart    Part = "clip" // the image tower of a CLIP that scores captions
	TextPart    Part = "text" // its text tower
)

// Parts are all of them.
var Parts = []Part{EncoderPart, DecoderPart, CLIPPart, TextPart}

// Heads are the numbers of attention heads that a user gives for checkpoints that do not say them. It notes which of
// them were of use. Nil gives none.
type Heads struct {
	Of  map[Part]int64 // of a part by its name
	Any int64          // of the one part that leaves its number open; 0: not given

	Activation string // of an encoder whose files do not say it: GELU or QuickGELU; "": not given

	expected int64         // of the encoder, as the model says that wants it
	width    int64         // of that encoder
	used     map[Part]bool // whose number was asked for
	taken    Part          // the part that took Any

	activation string // of the encoder, as the model says that wants it
	activated  bool   // Activation was asked for
}

// Expecting is h for the encoder of a model that says its sizes: the encoder's file may leave open what the model says.
func (h *Heads) Expecting(e Encoder) *Heads {
	if h == nil {
		h = &Heads{}
	}
	if a, ok := e.(Attention); ok {
		h.expected, h.width = a.HeadCount()
	}
	if a, ok := e.(interface{ ActivationName() string }); ok {
		h.activation = a.ActivationName()
	}
	return h
}

// Choose is the number of heads of a part of some width: what its files say, what was given, or what is usual for the
// width. 0 is nothing said, nothing usual; where there is neither, the error is a *HeadsUnknownError.
func (h *Heads) Choose(p Part, width, said, usual int64) (int64, error) {
	if h == nil {
		h = &Heads{}
	}
	if p == EncoderPart && h.width == width {
		said = cmp.Or(said, h.expected)
	}
	n, given := said, h.Of[p]
	switch {
	case said != 0 && given != 0 && said != given:
		return 0, fmt.Errorf("heads: found %d given for the %s, want the %d that its files say", given, p, said)
	case given != 0:
		n = given
		h.note(p)
	case said != 0:
	case h.Any != 0 && (p == EncoderPart || p == DecoderPart && usual == 0):
		if h.taken != "" && h.taken != p {
			return 0, &HeadsUnclearError{h.Any, h.taken, p}
		}
		n, h.taken = h.Any, p
	case usual == 0:
		return 0, &HeadsUnknownError{Part: p, Width: width}
	default:
		n = usual
	}
	if n < 1 || width%n != 0 {
		return 0, fmt.Errorf("heads: found %d for the %s, want a divisor of its %d channels", n, p, width)
	}
	return n, nil
}

func (h *Heads) note(p Part) {
	if h.used == nil {
		h.used = map[Part]bool{}
	}
	h.used[p] = true
}

// Unused reports numbers that were given for some parts and that nothing has asked for.
func (h *Heads) Unused(parts ...Part) error {
	if h == nil {
		return nil
	}
	for _, p := range parts {
		if n := h.Of[p]; n != 0 && !h.used[p] {
			return &HeadsUnusedError{N: n, Part: p}
		}
	}
	if h.Activation != "" && !h.activated && slices.Contains(parts, EncoderPart) {
		return &ActivationUnusedError{h.Activation}
	}
	if h.Any != 0 && h.taken == "" && slices.Contains(parts, EncoderPart) {
		return &HeadsUnusedError{N: h.Any}
	}
	return nil
}

// A HeadsUnusedError says that a number was given that nothing has asked for.
type HeadsUnusedError struct {
	N    int64
	Part Part // "" where no part was named
}

func (e *HeadsUnusedError) Error() string {
	if e.Part == "" {
		return fmt.Sprintf("heads: found %d given, want none: each part that is opened says its own number", e.N)
	}
	const found = "heads: found %d given for the %s, want none: it has no attention, or is not opened"
	return fmt.Sprintf(found, e.N, e.Part)
}

// Hint says what to do instead.
func (e *HeadsUnusedError) Hint() string {
	if e.Part == "" {
		return fmt.Sprintf("leave --heads out, or name the part: --heads decoder=%d", e.N)
	}
	return "leave it out"
}

// A HeadsUnclearError says that one number was given where two parts want one.
type HeadsUnclearError struct {
	N             int64
	First, Second Part
}

func (e *HeadsUnclearError) Error() string {
	return fmt.Sprintf("heads: found %d given, and two parts that do not say their own, %s and %s", e.N, e.First, e.Second)
}

// Hint says how to give both.
func (e *HeadsUnclearError) Hint() string {
	return fmt.Sprintf("--heads %s=N,%s=N gives each its own", e.First, e.Second)
}

// A HeadsUnknownError says that the number of attention heads of a part cannot be known: no weight says it, and the
// width is none of published models.
type HeadsUnknownError struct {
	Part   Part
	Width  int64
	Beside error // why the config.json beside the file is not its own; nil where there is none
}

func (e *HeadsUnknownError) Error() string {
	const found = "found %s of width %d, whose number of heads no weight says, want %s"
	want := "a config.json beside the file"
	if e.Beside != nil {
		want = fmt.Sprintf("its own config.json beside the file, not another's: %v", e.Beside)
	}
	var what string
	switch e.Part {
	case EncoderPart:
		what = "an encoder"
	case CLIPPart:
		what = "a CLIP"
	case TextPart:
		what = "a text tower"
	default:
		what = "a " + string(e.Part)
	}
	return fmt.Sprintf(found, what, e.Width, want)
}

// Hint says how to give the number.
func (e *HeadsUnknownError) Hint() string {
	const how = "copy the config.json that its model was saved with beside the file, or give the number: --heads %s=N%s"
	train := ""
	if e.Part == EncoderPart {
		train = " (of train: --encoder-heads N)"
	}
	return fmt.Sprintf(how, e.Part, train)
}
