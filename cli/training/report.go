package training

import (
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"captioner/cli/console"
	"captioner/models/train"
	"captioner/weights/plural"
)

// progress tells what a run says: on a terminal by a bar, else by a line every ten seconds; measurements always.
type progress struct {
	con   *console.Console
	start time.Time

	mu    sync.Mutex
	said  time.Time
	phase string
	since time.Time // when the phase began, for its rate
	rows  int
	first int               // step that the phase began at here
	bar   *console.Progress // of the phase; nil before its first step
	final map[string]float64

	loss struct { // of the steps since the last measurement
		sum float64
		n   int
		lr  float64
	}
	table string      // the phase that the table on the terminal is of
	best  train.Event // the best measurement of this process; no scores where there was none
}

func (r *progress) tell(e train.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if e.Note != "" {
		if e.Warning {
			r.con.Term.Log.Warn(e.Note)
		} else {
			r.con.Term.Log.Info(e.Note)
		}
		return
	}
	if e.Phase != r.phase {
		r.phase, r.since, r.rows, r.first = e.Phase, now, 0, e.Step
		r.loss.sum, r.loss.n = 0, 0
		r.bar.Finish()
		r.bar = nil
	}
	r.rows += e.Rows
	if e.Scores != nil {
		if e.Best {
			r.best = e
		}
		if r.con.Term.Live && e.Phase != "final" {
			r.row(e, now)
		} else {
			r.scores(e)
		}
		return
	}
	r.loss.sum, r.loss.n, r.loss.lr = r.loss.sum+e.Loss, r.loss.n+1, e.LR
	if r.con.Term.Live {
		r.draw(e)
	} else if now.Sub(r.said) >= 10*time.Second {
		r.said = now
		r.con.Term.Log.Info(r.line(e, now))
	}
}

// draw shows a step on the bar of its phase, which counts captions: how long the whole phase still lasts, and in which
// epoch it is.
func (r *progress) draw(e train.Event) {
	unit, rows, about := "image", 1, "encoding"
	if e.Phase != "encode" && e.Epoch > 0 {
		per := max(1, int(math.Round(float64(e.Step)/e.Epoch))) // steps
		unit, rows = "caption", e.Rows
		name := e.Phase
		if name == "captions" {
			name = "epoch"
		}
		about = fmt.Sprintf("%s %d/%d, %s %.3f", name, (e.Step-1)/per+1, (e.Steps+per-1)/per, r.measured(e), e.Loss)
	}
	if r.bar == nil {
		r.bar = console.NewSteps(r.con.Term, unit)
		r.bar.Set(int64(r.first*rows), int64(e.Steps*rows))
	}
	r.bar.About(about)
	r.bar.Set(int64(e.Step*rows), int64(e.Steps*rows))
}

// line is a step for people: "captions 120/2400 (epoch 0.50) loss 3.124 lr 0.00061 540 captions/s, 3m20s left".
func (r *progress) line(e train.Event, now time.Time) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s %d/%d", e.Phase, e.Step, e.Steps)
	if e.Phase != "encode" {
		value := fmt.Sprintf("%.4f", e.Loss)
		if e.Loss == 0 && e.Skipped > 0 { // every step since the last sum was left out
			value = "-"
		}
		fmt.Fprintf(&s, " (epoch %.2f) %s %s lr %.2g", e.Epoch, r.measured(e), value, e.LR)
		if e.Skipped > 0 {
			fmt.Fprintf(&s, " %s skipped (overflow)", plural.Count(e.Skipped, "step"))
		}
	}
	gone := now.Sub(r.since).Seconds()
	if r.rows > 0 && gone > 0 {
		fmt.Fprintf(&s, " %.0f captions/s", float64(r.rows)/gone)
	}
	if done := e.Step - r.first; done > 0 && e.Steps > e.Step {
		left := time.Duration(gone / float64(done) * float64(e.Steps-e.Step) * float64(time.Second))
		fmt.Fprintf(&s, ", %v left", left.Round(time.Second))
	}
	return s.String()
}

// measured names what a phase's steps give.
func (r *progress) measured(e train.Event) string {
	if e.Phase == "scst" {
		return "reward"
	}
	return "loss"
}

// row adds a measurement to the table on the terminal, with two captions.
func (r *progress) row(e train.Event, now time.Time) {
	if r.table != e.Phase {
		r.table = e.Phase
		fmt.Fprintf(r.con.Term, "%-10s %8s %8s %7s %7s %8s %7s\n",
			e.Phase, r.measured(e), "val loss", "CIDEr", "BLEU-4", "lr", "time")
	}
	at := fmt.Sprintf("step %d", e.Step)
	if e.Phase == "captions" {
		at = fmt.Sprintf("epoch %.4g", e.Epoch)
	}
	gone := now.Sub(r.start).Round(time.Second)
	mark := ""
	if e.Best {
		mark = "  best"
	}
	s := e.Scores
	fmt.Fprintf(r.con.Term, "%-10s %8.3f %8.3f %7.3f %7.3f %8.1e %7s%s\n", at,
		r.loss.sum/float64(max(1, r.loss.n)), s["val_loss"], s["cider"], s["bleu4"], r.loss.lr, console.Clock(gone), mark)
	for _, x := range e.Samples[:min(2, len(e.Samples))] {
		fmt.Fprintf(r.con.Term, "    %s: %s\n", console.Visible(filepath.Base(x.Path)), console.Visible(x.Caption))
	}
	r.loss.sum, r.loss.n = 0, 0
}

// last says which model is the best and how to use it.
func (r *progress) last(dir string) {
	if r.final == nil {
		return
	}
	at := ""
	switch {
	case r.best.Scores == nil:
	case r.best.Phase == "captions":
		at = fmt.Sprintf("epoch %.4g, ", r.best.Epoch)
	default:
		at = fmt.Sprintf("%s step %d, ", r.best.Phase, r.best.Step)
	}
	r.con.Term.Log.Info(fmt.Sprintf("Best: %sCIDEr %.2f. Try: captioner predict --model %s photo.jpg",
		at, r.final["cider"], shellQuoted(filepath.Join(dir, "best.safetensors"))))
}

// scores reports a measurement with a few captions.
func (r *progress) scores(e train.Event) {
	s := e.Scores
	best := ""
	if e.Best {
		best = ", the best so far"
	}
	if e.Phase == "final" {
		r.final = s
	}
	at, learnt := e.Phase, ""
	if e.Steps > 0 {
		at += fmt.Sprintf(" %d/%d", e.Step, e.Steps)
		learnt = fmt.Sprintf("%s %.3f, lr %.1e, ", r.measured(e), r.loss.sum/float64(max(1, r.loss.n)), r.loss.lr)
	}
	r.loss.sum, r.loss.n = 0, 0
	r.con.Term.Log.Info(fmt.Sprintf("%s: %sCIDEr %.3f, BLEU-4 %.3f, ROUGE-L %.3f, val loss %.3f, %.1f %% of the "+
		"captions differ%s", at, learnt, s["cider"],
		s["bleu4"], s["rouge_l"], s["val_loss"], 100*s["distinct_captions"], best))
	for _, x := range e.Samples[:min(2, len(e.Samples))] {
		r.con.Term.Log.Info("  " + console.Visible(filepath.Base(x.Path)) + ": " + console.Visible(x.Caption))
	}
}

// result prints where the captioner is and what it scores.
func (r *progress) result(dir string) error {
	r.last(dir)
	model := dir + "/best.safetensors"
	if r.con.Options.JSON {
		return console.WriteJSON(r.con.Stdout, struct {
			Model   string             `json:"model"`
			Scores  map[string]float64 `json:"scores"`
			Seconds float64            `json:"seconds"`
		}{model, r.final, time.Since(r.start).Seconds()})
	}
	b, err := json.Marshal(r.final)
	if err != nil {
		return err
	}
	return r.con.Printf("%s\t%s\n", model, b)
}
