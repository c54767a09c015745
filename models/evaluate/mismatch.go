package evaluate

import (
	"fmt"

	"captioner/data/predictions"
)

// Mismatch is something between predictions and references that did not fit, and was counted.
type Mismatch struct {
	Key   string // "missing"
	Names []string
	one   string // "prediction is of no image"
	many  string
}

// NewMismatch is a mismatch with what it says for one name and for many.
func NewMismatch(key string, names []string, one, many string) Mismatch {
	return Mismatch{key, names, one, many}
}

// Mismatches are all kinds, also those without names.
type Mismatches []Mismatch

// mismatchesOf lists what a match could not use, or used with a doubt.
func mismatchesOf(m *predictions.Match, zeroFill bool) Mismatches {
	unscored := "not scored"
	if zeroFill {
		unscored = "scored as empty"
	}
	return Mismatches{
		{"missing", m.Missing, "image has no prediction: " + unscored, "images have no prediction: " + unscored},
		{
			"failed", m.Failed,
			"image has an error in the place of a caption: " + unscored,
			"images have an error in the place of a caption: " + unscored,
		},
		{
			"extra", m.Extra,
			"prediction is of no image among the references: not scored",
			"predictions are of no image among the references: not scored",
		},
		{
			"duplicate", m.Repeated,
			"prediction is of an image that has one: the first is scored",
			"predictions are of images that have one: the first is scored",
		},
		{"empty", m.Empty, "caption is empty: scored as it is", "captions are empty: scored as they are"},
		{
			"unreferenced", m.Unreferenced,
			"image has no references: not scored",
			"images have no references: not scored",
		},
		{
			"empty_references", m.EmptyReferences,
			"image has an empty reference: scored as it is",
			"images have an empty reference: scored as they are",
		},
		{
			"duplicate_references", m.RepeatedExamples,
			"image is in the references twice: the first counts",
			"images are in the references twice: the first counts",
		},
	}
}

// OfPredictions leaves out what is about the references alone.
func (f Mismatches) OfPredictions() Mismatches {
	var out Mismatches
	for _, x := range f {
		switch x.Key {
		case "unreferenced", "empty_references", "duplicate_references":
		default:
			out = append(out, x)
		}
	}
	return out
}

// Lines are the mismatches for people, those that there are.
func (f Mismatches) Lines() []string {
	var out []string
	for _, x := range f {
		switch n := len(x.Names); {
		case n == 1:
			out = append(out, fmt.Sprintf("1 %s (%q)", x.one, x.Names[0]))
		case n > 1:
			out = append(out, fmt.Sprintf("%d %s (the first: %q)", n, x.many, x.Names[0]))
		}
	}
	return out
}

// Wordless are captions that are not empty but have no words, such as "…".
func (s System) Wordless() Mismatch {
	var names []string
	for i, pair := range s.Pairs {
		if len(s.Corpus.Tokens(i)) == 0 && pair.Caption != "" {
			names = append(names, pair.Example.ID)
		}
	}
	return Mismatch{
		"wordless", names,
		"caption has no words: scored as it is",
		"captions have no words: scored as they are",
	}
}
