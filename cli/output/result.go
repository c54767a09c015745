package output

import (
	"captioner/cli/input"
	"captioner/data/image"
	"captioner/models/captioner"
	"captioner/models/tags"
)

// Result is what became of one input.
type Result struct {
	input.Input
	Caption   captioner.Caption // where err is nil
	Preview   string            // kind of a raw file, of which the preview was captioned: "NEF"; "" for others
	Prompt    string            // with its variables filled in; "" where it has none
	Data      []byte            // of the image, where the pipeline keeps them
	Thumbnail []byte            // a small JPEG of it, where the pipeline makes them
	ForTags   *image.RGB        // the image as tags are ranked by, where they are
	Tags      []tags.Tag        // of --tags, the nearest first
	Least     float64           // confidence below which a caption is uncertain
}

// Uncertain says whether one of an image's captions is a guess.
func (r *Result) Uncertain(c captioner.Caption) bool { return c.Confidence < r.Least }

// Marked is a caption's text with its mark, where it is an uncertain one.
func (r *Result) Marked(c captioner.Caption, text string) string {
	if r.Uncertain(c) {
		return "(uncertain) " + text
	}
	return text
}

// captions are the best caption and the others.
func (r *Result) captions() []captioner.Caption {
	return append([]captioner.Caption{r.Caption}, r.Caption.Alternatives...)
}
