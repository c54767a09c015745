package train

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"captioner/models/decode"
	"captioner/models/train/recipe"
	"captioner/weights/plural"
)

// measure scores the averaged weights, keeps the model if it is the best so far, and says whether to stop early.
func (l *learner) measure() (stop bool, err error) {
	if l.ema != nil {
		l.ema.Swap()
		defer l.ema.Swap()
	}
	scores, captions, err := l.score(1)
	if errors.Is(err, decode.ErrNaN) {
		err = fmt.Errorf("train: phase %s, measure after step %d: the log-probabilities are NaN, want %w; "+
			"the last checkpoint, if there is one, is as it was",
			l.name, l.state.Step, ErrNotFinite)
	}
	if err != nil {
		return false, err
	}
	value := scores[l.Monitor]
	if l.Monitor == "val_loss" {
		value = -value
	}
	e := Event{
		Phase: l.name, Step: l.state.Step, Steps: l.steps, Epoch: float64(l.state.Step) / float64(l.perEpoch),
		Scores: scores, Base: l.base,
	}
	for i := 0; i < len(captions); i += max(1, len(captions)/4) {
		e.Samples = append(e.Samples, l.sample(i, captions[i]))
	}
	loss := scores["val_loss"]
	e.Best = !l.state.Any || value > l.state.Best || value == l.state.Best && loss < l.state.Loss
	if e.Best {
		l.state.Any, l.state.Best, l.state.Loss, l.state.Worse = true, value, loss, 0
	} else if l.state.Worse++; l.Schedule == recipe.Plateau && l.state.Worse%2 == 0 {
		l.state.Halved++
	}
	if err := l.keep(e, scores); err != nil {
		return false, err
	}
	l.tell(e)
	return l.Patience > 0 && l.state.Worse >= l.Patience, l.record(e)
}

// keep writes the model files of a measurement: last.safetensors always, best.safetensors where it is the best, and
// one of its own name where some are to be kept, of which the oldest go.
func (l *learner) keep(e Event, scores map[string]float64) error {
	card := l.card
	card.Metrics, card.Decoding = scores, "greedy"
	if e.Best {
		l.card = card
		if err := l.write(filepath.Join(l.dir, bestFile), card); err != nil {
			return err
		}
	}
	if err := l.write(filepath.Join(l.dir, lastFile), card); err != nil || l.Keep == 0 || !l.Group.IsLead() {
		return err
	}
	name := fmt.Sprintf("%d-%s-%07d.safetensors", l.number+1, l.name, e.Step)
	if err := l.write(filepath.Join(l.dir, name), card); err != nil {
		return err
	}
	kept, err := filepath.Glob(filepath.Join(l.dir, "[0-9]-*-[0-9]*.safetensors"))
	if err != nil {
		return err
	}
	slices.Sort(kept)
	for _, old := range kept[:max(0, len(kept)-l.Keep)] {
		if err := os.Remove(old); err != nil {
			return fmt.Errorf("keep %s: %w", plural.Count(l.Keep, "checkpoint"), err)
		}
	}
	return nil
}

// finish measures the best model with beam search and writes its final card. It runs on the torch thread.
func (t *trainer) finish(ctx context.Context) error {
	path := filepath.Join(t.dir, bestFile)
	if !t.state.Any { // a run without a measurement: what there is is the result
		if err := t.write(path, t.card); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil && t.Group.Size() == 1 {
		return err
	}
	if err := t.Group.Wait(context.WithoutCancel(ctx), "the best model"); err != nil {
		return err
	}
	if err := t.load(path); err != nil {
		return err
	}
	scores, captions, err := t.score(t.Beam)
	if err != nil {
		return err
	}
	t.card.Metrics, t.card.Decoding = scores, fmt.Sprintf("beam %d, length penalty %g", t.Beam, t.LengthPenalty)
	e := Event{Phase: "final", Scores: scores, Base: t.planned()}
	for i := 0; i < len(captions); i += max(1, len(captions)/8) {
		e.Samples = append(e.Samples, t.sample(i, captions[i]))
	}
	if err := t.write(path, t.card); err != nil {
		return err
	}
	t.tell(e)
	t.doubtResult(captions)
	return t.record(e)
}

// sample is the caption of an image to measure on.
func (c *corpora) sample(i int, caption string) Sample {
	return Sample{Path: c.val[i].Name(), Caption: caption, of: c.val[i].Example}
}
