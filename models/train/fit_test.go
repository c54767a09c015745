package train

import (
	"context"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"captioner/models/train/recipe"
)

// What gives way where there are few images, and what does not where there are many or where it was said.
func TestFit(t *testing.T) {
	few := DefaultOptions()
	said := few
	said.Fit = recipe.Fit{}
	for _, c := range []struct {
		name          string
		o             Options
		perEpoch      int
		epochs        float64
		every, warmup int
		average       float64
	}{
		{name: "200 images", o: few, perEpoch: 5, epochs: 60, every: 3, warmup: 30, average: 1 - 5./300},
		{name: "20 images", o: few, perEpoch: 1, epochs: 300, every: 15, warmup: 30, average: 1 - 5./300},
		{name: "6,000 images", o: few, perEpoch: 187, epochs: 10, every: 1, warmup: 187, average: .997},
		{name: "80,000 images", o: few, perEpoch: 2500, epochs: 10, every: 1, warmup: 200, average: .997},
		{name: "all said", o: said, perEpoch: 5, epochs: 10, every: 1, warmup: 200, average: .997},
	} {
		epochs, every := c.o.FitEpochs(c.perEpoch)
		steps := int(epochs) * c.perEpoch
		if warmup := c.o.FitWarmup(steps); epochs != c.epochs || every != c.every || warmup != c.warmup {
			t.Errorf("%s: got %g epochs, measured every %d, warm-up %d; want %g, %d, %d", c.name, epochs, every, warmup,
				c.epochs, c.every, c.warmup)
		}
		if got := c.o.FitAverage(c.o.EMA, steps); got != c.average {
			t.Errorf("%s: got the average %g, want %g", c.name, got, c.average)
		}
	}
	original, err := RecipeOptions(recipe.Original)
	if err != nil || !reflect.ValueOf(original.Fit).IsZero() {
		t.Errorf("recipe: got %+v, %v, want nothing that gives way", original.Fit, err)
	}
}

// A run says what it cuts and what its measure cannot tell, keeps the best of equal scores by the validation loss, and
// takes enough images to measure on.
func TestRunWarns(t *testing.T) {
	dir := t.TempDir()
	o := smallRun(t, dir)
	o.Val, o.Text, o.SCSTSteps, o.Positions, o.Epochs = "", nil, 0, 4, 3
	o.ValFraction = .2
	o.LR = 1e-6 // learns nothing: all captions are the same or empty
	for _, c := range []struct {
		name string
		set  func(*Options)
		want []string
	}{
		{"long captions", func(o *Options) {}, []string{
			"captions that are longer than 4 tokens", "the longest has 6",
			"the model always says the same|the model says nothing",
		}},
		{"few images", func(o *Options) { o.Fit.MinVal = 10 }, []string{
			"measuring on 4 |measuring on 5 |measuring on 6 |measuring on 7 ",
		}},
	} {
		o := o
		c.set(&o)
		var notes []string
		var scores []Event
		err := Run(context.Background(), filepath.Join(dir, c.name), o, func(e Event) {
			notes = append(notes, e.Note)
			if e.Scores != nil && e.Phase == "captions" {
				scores = append(scores, e)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		all := strings.Join(notes, "\n")
		for _, want := range c.want {
			found := false
			for _, w := range strings.Split(want, "|") {
				found = found || strings.Contains(all, w)
			}
			if !found {
				t.Errorf("%s: got the notes %s\nwant %q in them", c.name, all, want)
			}
		}
		for i := 1; i < len(scores); i++ {
			before, now := scores[i-1].Scores, scores[i].Scores
			if now["cider"] == before["cider"] && scores[i-1].Best && scores[i].Best != (now["val_loss"] < before["val_loss"]) {
				t.Errorf("%s: best is %v with the validation loss %g after %g", c.name, scores[i].Best, now["val_loss"],
					before["val_loss"])
			}
		}
	}
}
