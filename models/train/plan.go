package train

import (
	"captioner/torch/optim"
)

// phase is a part of the run with an optimizer of its own.
type phase struct {
	name     string
	number   int
	steps    int
	perEpoch int // steps
	lr       float64
	schedule optim.Schedule
	beta2    float64
	decay    float64
	emaKeep  float64
	every    int // steps between measurements; 0: none
	step     func(*learner, int) (loss float64, rows int, err error)
}

// phases lists the run's parts in their order.
func (t *trainer) phases() []phase {
	var out []phase
	add := func(p phase) {
		if t.DryRun {
			p.steps, p.every = min(p.steps, dryRunSteps), 0
		}
		if p.steps > 0 {
			p.number = len(out)
			out = append(out, p)
		}
	}
	plan := func(steps, warmup int, floor float64) optim.Schedule {
		kind := t.Schedule
		if kind == plateau {
			kind = "constant" // and measurements turn it down
		}
		return optim.Schedule{Kind: kind, Warmup: warmup, Total: steps, Floor: floor}
	}
	per := len(t.text) / (t.BatchSize * t.Captions)
	steps := int(float64(per) * t.TextEpochs)
	add(phase{name: "text", steps: steps, perEpoch: per, lr: t.LR, schedule: plan(steps, t.Warmup, t.Floor), beta2: t.Beta2,
		decay: t.WeightDecay, emaKeep: t.EMA, step: (*learner).textStep})
	per = max(1, len(t.train)/(t.BatchSize*t.Accumulate))
	steps = int(float64(per) * t.Epochs)
	add(phase{name: "captions", steps: steps, perEpoch: per, lr: t.LR, schedule: plan(steps, t.Warmup, t.Floor), beta2: t.Beta2,
		decay: t.WeightDecay, emaKeep: t.EMA, every: per, step: (*learner).captionStep})
	per = max(1, len(t.train)/max(t.SCSTBatch, 1))
	add(phase{name: "scst", steps: t.SCSTSteps, perEpoch: per, lr: t.SCSTLR, schedule: plan(t.SCSTSteps, 20, .1), beta2: .99,
		emaKeep: t.SCSTEMA, every: t.SCSTEvery, step: (*learner).scstStep})
	return out
}
