package encoder

import (
	"slices"

	"captioner/weights"
)

// A ForeignError says that a file, a folder or a repository is of a kind that belongs to a model but is none that can
// be used, and what to take instead.
type ForeignError struct {
	Found  string // what it is
	Want   string
	Remedy string
}

func (e *ForeignError) Error() string { return "found " + e.Found + ", want " + e.Want }

// Hint says what to take, or how to make a model of it.
func (e *ForeignError) Hint() string { return e.Remedy }

// Kin is a network that is taken for an architecture by its name, and is another.
type Kin struct {
	ModelTypes []string // as config.json names it
	// Recognize says whether src holds one, by the names and shapes of its tensors.
	Recognize func(src weights.Source) bool
	Foreign   ForeignError // what is said of it
}

// Kin is what to say of checkpoints of a model_type, or of tensors, that are those of another network than they look
// like; nil where they are not. Without a source the model_type alone decides.
func (t Table) Kin(modelType string, src weights.Source) error {
	for _, a := range t {
		for _, k := range a.Kin {
			if slices.Contains(k.ModelTypes, modelType) || src != nil && k.Recognize(src) {
				foreign := k.Foreign
				return &foreign
			}
		}
	}
	return nil
}
