package recipe

import "math"

// Fit says which options give way where there are few images, so that a run on twenty learns as one on thousands does.
// The zero value changes nothing.
type Fit struct {
	Warmup   bool `json:"warmup,omitempty"`    // takes at most a tenth of a phase's steps
	EMA      bool `json:"ema,omitempty"`       // averages over at most a fifth of a phase's steps
	Vocab    bool `json:"vocab,omitempty"`     // spells fewer words from smaller tokens where there are few captions
	MinSteps int  `json:"min_steps,omitempty"` // of cross-entropy: there are as many epochs as that takes
	MinVal   int  `json:"min_val,omitempty"`   // images to measure on, but at most a fifth of Data
	// Own are the options that are those of Init's family, where it has some: "lr". See Options.Take.
	Own []string `json:"own,omitempty"`
}

// measurements is how often a run is measured at most where Fit gives it more epochs than MaxEpochs.
const measurements = 20

// FitWarmup is the steps of rise in a phase.
func (o Options) FitWarmup(steps int) int {
	if o.Fit.Warmup {
		return min(o.Warmup, steps/10)
	}
	return o.Warmup
}

// FitAverage is the share that the moving average of a phase keeps of itself in each step. One that keeps k looks back
// over 1/(1-k) steps.
func (o Options) FitAverage(keep float64, steps int) float64 {
	if o.Fit.EMA && keep > 0 && steps > 0 {
		return max(0, min(keep, 1-5/float64(steps)))
	}
	return keep
}

// FitEpochs is how often the captions are gone through, and how many epochs lie between two measurements, where an
// epoch has so many steps.
func (o Options) FitEpochs(perEpoch int) (epochs float64, every int) {
	if o.Epochs <= 0 || float64(perEpoch)*o.Epochs >= float64(o.Fit.MinSteps) {
		return o.Epochs, 1
	}
	n := (o.Fit.MinSteps + perEpoch - 1) / perEpoch
	return float64(n), (n + measurements - 1) / measurements
}

// FitVocabMinCount is how often a token is used at least, of so many captions, to have a place in the vocabulary.
func (o Options) FitVocabMinCount(captions int) int64 {
	if o.Fit.Vocab {
		return min(o.VocabMinCount, max(1, int64(captions/400)))
	}
	return o.VocabMinCount
}

// FitValFraction is the share of n images that are kept to measure on.
func (o Options) FitValFraction(n int) float64 {
	if o.Fit.MinVal <= 0 || n == 0 {
		return o.ValFraction
	}
	return max(o.ValFraction, math.Min(.2, float64(o.Fit.MinVal)/float64(n)))
}
