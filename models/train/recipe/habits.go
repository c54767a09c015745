package recipe

import (
	"slices"

	"captioner/models/family"
)

// own are the options that a family has habits of, by their flags.
var own = []string{
	"lr", "encoder-lr", "scst-lr", "dropout", "input-dropout", "attention-dropout", "label-smoothing",
}

// Take sets the options that Fit.Own names to the habits of the family that learning goes on from.
func (o *Options) Take(h *family.Habits) {
	for name, to := range map[string]struct {
		option *float64
		habit  float64
	}{
		"lr":                {&o.LR, h.LR},
		"encoder-lr":        {&o.EncoderLR, h.EncoderLR},
		"scst-lr":           {&o.SCSTLR, h.SCSTLR},
		"dropout":           {&o.Dropout, h.Dropout.Parts},
		"input-dropout":     {&o.InputDropout, h.Dropout.Input},
		"attention-dropout": {&o.AttentionDropout, h.Dropout.Attention},
		"label-smoothing":   {&o.LabelSmoothing, h.LabelSmoothing},
	} {
		if slices.Contains(o.Fit.Own, name) {
			*to.option = to.habit
		}
	}
}
