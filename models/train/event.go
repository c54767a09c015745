package train

import (
	"captioner/data"
	"captioner/models/train/curves"
)

// Event is a piece of news from a run.
type Event struct {
	Phase string  `json:"phase"` // "encode", "text", "captions", "scst", "final", or "" for a note
	Step  int     `json:"step"`
	Steps int     `json:"steps"`
	Epoch float64 `json:"epoch,omitempty"`
	// Loss is that of the step, in metrics.jsonl the mean since the last line; in "scst" it is the mean reward.
	Loss    float64            `json:"loss,omitempty"`
	LR      float64            `json:"lr,omitempty"`
	Norm    float64            `json:"grad_norm,omitempty"`
	Skipped int                `json:"skipped,omitempty"` // steps left out so far, because float16 overflowed
	Scores  map[string]float64 `json:"scores,omitempty"`  // of a measurement
	Samples []Sample           `json:"samples,omitempty"` // a few captions of a measurement
	Best    bool               `json:"best,omitempty"`    // the measurement is the best so far
	Note    string             `json:"note,omitempty"`
	Warning bool               `json:"-"` // the note is one that a person should not miss
	Rows    int                `json:"-"` // captions since the last event
	Base    int                `json:"-"` // steps of the phases before this one
}

// point is what curves show of an event.
func (e Event) point() curves.Point {
	return curves.Point{Phase: e.Phase, Step: e.Step, Loss: e.Loss, LR: e.LR, Norm: e.Norm, Scores: e.Scores}
}

// Sample is a caption that the model gave while it learnt.
type Sample struct {
	Path    string `json:"path"`
	Caption string `json:"caption"`
	of      data.Example
}
