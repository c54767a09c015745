package train

import (
	"fmt"
	"strings"

	"captioner/weights/plural"
)

// warn tells what a person should not miss.
func (j *job) warn(format string, args ...any) {
	j.tell(Event{Note: fmt.Sprintf(format, args...), Warning: true})
}

// doubtMeasure warns before a run where what chooses the best checkpoint cannot tell one from another.
func (c *corpora) doubtMeasure() {
	if len(c.val) == 1 && c.Monitor == "cider" {
		c.warn("there is one image to measure on, and the CIDEr of one image is always 0: the validation loss chooses " +
			"the best checkpoint; a larger val-fraction, or a val set, gives scores that mean something")
	}
}

// doubtResult warns after a run where its captions are no captions.
func (net *network) doubtResult(captions []string) {
	const more = "it has learnt too little: more epochs, more images, or init with a model that captions already may help"
	switch first := captions[0]; {
	case strings.TrimSpace(strings.Join(captions, "")) == "":
		net.warn("the model says nothing: its captions of all %s are empty; %s", plural.Count(len(captions), "image"), more)
	case len(captions) > 1 && distinct(captions)*float64(len(captions)) == 1:
		net.warn("the model always says the same: %q, of all %s; %s", first, plural.Count(len(captions), "image"), more)
	case net.Monitor == "cider" && net.state.Any && net.state.Best == 0 && len(captions) > 1:
		net.warn("CIDEr was 0 in every measurement: the validation loss has chosen the best checkpoint")
	}
}
