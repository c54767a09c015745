package cli

import (
	"captioner/models/captioner"
)

// result is what became of one input.
type result struct {
	input
	caption   captioner.Caption // where err is nil
	data      []byte            // of the picture, where the pipeline keeps them
	thumbnail []byte            // a small JPEG of it, where the pipeline makes them
	least     float64           // confidence below which a caption is uncertain
}

// uncertain says whether one of a picture's captions is a guess.
func (r *result) uncertain(c captioner.Caption) bool { return c.Confidence < r.least }

// marked is a caption's text with its mark, where it is an uncertain one.
func (r *result) marked(c captioner.Caption, text string) string {
	if r.uncertain(c) {
		return "(uncertain) " + text
	}
	return text
}

// captions are the best caption and the others.
func (r *result) captions() []captioner.Caption {
	return append([]captioner.Caption{r.caption}, r.caption.Alternatives...)
}
