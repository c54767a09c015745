package train

import (
	"fmt"

	"captioner/models/train/recipe"
	"captioner/torch"
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
	average  float64 // share that the moving average of the weights keeps; 0: none
	every    int     // steps between measurements; 0: none
	step     func(*learner, int) (loss *torch.Tensor, rows int, err error)
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
		if kind == recipe.Plateau {
			kind = "constant" // and measurements turn it down
		}
		return optim.Schedule{Kind: kind, Warmup: warmup, Total: steps, Floor: floor}
	}
	per := len(t.text) / (t.BatchSize * t.Captions)
	steps := int(float64(per) * t.TextEpochs)
	add(phase{
		name: "text", steps: steps, perEpoch: per, lr: t.LR, schedule: plan(steps, t.FitWarmup(steps), t.LRFloor),
		beta2: t.Beta2, decay: t.WeightDecay, average: t.FitAverage(t.EMA, steps), step: (*learner).textStep,
	})
	per = max(1, len(t.train)/(t.BatchSize*t.Accumulate))
	epochs, every := t.FitEpochs(per)
	steps = int(float64(per) * epochs)
	add(phase{
		name: "captions", steps: steps, perEpoch: per, lr: t.LR, schedule: plan(steps, t.FitWarmup(steps), t.LRFloor),
		beta2: t.Beta2, decay: t.WeightDecay, average: t.FitAverage(t.EMA, steps), every: per * every,
		step: (*learner).captionStep,
	})
	per = max(1, len(t.train)/max(t.SCSTBatch, 1))
	steps = t.SCSTSteps
	rise := 20
	if t.Fit.Warmup {
		rise = min(rise, steps/10)
	}
	add(phase{
		name: "scst", steps: steps, perEpoch: per, lr: t.SCSTLR, schedule: plan(steps, rise, .1), beta2: .99,
		average: t.FitAverage(t.SCSTEMA, steps), every: t.SCSTEvery, step: (*learner).scstStep,
	})
	return out
}

// String is the phase for people: "captions: 300 steps, 5 an epoch, learning rate up to 0.001 after 30 steps of
// warm-up, average 0.983".
func (p phase) String() string {
	s := fmt.Sprintf("%s: %d steps, %d an epoch, learning rate up to %g", p.name, p.steps, p.perEpoch, p.lr)
	if p.schedule.Warmup > 0 {
		s += fmt.Sprintf(" after %d steps of warm-up", p.schedule.Warmup)
	}
	if p.average > 0 {
		s += fmt.Sprintf(", average %.3g", p.average)
	}
	if p.every > 0 {
		s += fmt.Sprintf(", measured every %d steps", p.every)
	}
	return s
}

// tellPlan tells the phases, and what gave way because there are few images.
func (t *trainer) tellPlan() {
	for _, p := range t.phases() {
		t.tell(Event{Note: p.String()})
		if epochs, _ := t.FitEpochs(p.perEpoch); p.name == "captions" && epochs > t.Epochs {
			t.tell(Event{Note: fmt.Sprintf("%d images make %d steps an epoch: there are %g epochs instead of %g, so that "+
				"there are %d steps (max-epochs chooses another number)", len(t.train), p.perEpoch, epochs, t.Epochs, p.steps)})
		}
	}
}
