package train

import (
	"fmt"

	"captioner/models/train/recipe"
	"captioner/torch"
	"captioner/torch/optim"
	"captioner/weights/plural"
)

// phase is a part of the run with an optimizer of its own.
type phase struct {
	name     string
	number   int
	base     int // steps of the phases before it
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
	base := 0
	add := func(p phase) {
		if t.DryRun {
			p.steps, p.every = min(p.steps, dryRunSteps), 0
		}
		if p.steps > 0 {
			p.number, p.base = len(out), base
			base += p.steps
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

// planned is how many steps all phases have together.
func (t *trainer) planned() (steps int) {
	for _, p := range t.phases() {
		steps += p.steps
	}
	return steps
}

// String is the phase for people: "captions: 300 steps, 5 an epoch, learning rate up to 0.001 after 30 steps of
// warm-up, average 0.983".
func (p phase) String() string {
	s := fmt.Sprintf("%s: %s, %d an epoch, learning rate up to %g", p.name, plural.Count(p.steps, "step"), p.perEpoch,
		p.lr)
	if p.schedule.Warmup > 0 {
		s += fmt.Sprintf(" after %s of warm-up", plural.Count(p.schedule.Warmup, "step"))
	}
	if p.average > 0 {
		s += fmt.Sprintf(", average %.3g", p.average)
	}
	if p.every > 0 {
		s += fmt.Sprintf(", measured every %s", plural.Count(p.every, "step"))
	}
	return s
}

// tellPlan tells the phases, and what gave way because there are few images.
func (t *trainer) tellPlan() {
	for _, p := range t.phases() {
		t.tell(Event{Note: p.String()})
		if epochs, _ := t.FitEpochs(p.perEpoch); p.name == "captions" && epochs > t.Epochs {
			t.tell(Event{Note: fmt.Sprintf("%s make %s an epoch: there are %g epochs instead of %g, so that "+
				"there are %s (max-epochs chooses another number)", plural.Count(len(t.train), "image"), plural.Count(p.perEpoch,
				"step"), epochs, t.Epochs, plural.Count(p.steps, "step"))})
		}
	}
}
