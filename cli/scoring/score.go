package scoring

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"captioner/cli/captioning"
	"captioner/cli/console"
	"captioner/cli/model"
	"captioner/cli/published"
	"captioner/data/image"
	"captioner/data/metrics"
	"captioner/data/predictions"
	"captioner/models/encoder"
	"captioner/models/evaluate"
	"captioner/weights/plural"
)

// score matches and scores the predictions.
func (e *evaluation) score(ctx context.Context) error {
	m, mismatches, err := e.scorer.Match(e.predictions)
	if err != nil {
		return err
	}
	e.mismatches = mismatches
	if err := e.report(e.predictions.File, mismatches); err != nil {
		return err
	}
	if err := e.openMeasures(ctx); err != nil {
		return err
	}
	if e.system, err = e.scorer.Score(ctx, m.Pairs); err != nil {
		return err
	}
	e.reportScored()
	if e.measures, err = e.scorer.Measures(e.system); err != nil {
		return err
	}
	training := e.o.Training
	if !e.o.wants("novelty") {
		training = ""
	}
	e.facts, err = e.scorer.Facts(e.system.Pairs, training)
	return err
}

// report says what did not fit, or with --strict fails.
func (e *evaluation) report(file string, f evaluate.Mismatches) error {
	lines := f.Lines()
	if e.o.Strict && len(lines) > 0 {
		return fmt.Errorf("--strict: %q: %s", file, strings.Join(lines, "; "))
	}
	e.warn(file, lines)
	return nil
}

func (e *evaluation) warn(file string, lines []string) {
	for _, line := range lines {
		e.con.Term.Log.Warn(console.Visible(file + ": " + line))
	}
}

// reportScored says what only scoring has shown.
func (e *evaluation) reportScored() {
	f := evaluate.Mismatches{e.system.Wordless()}
	if c := e.scorer.CLIP; c != nil {
		f = append(f, c.Mismatch())
	}
	e.warn(e.predictions.File, append(f.Lines(), e.scorer.Doubts(e.system)...))
	e.mismatches = append(e.mismatches, f...)
}

// openMeasures reads what some measures need.
func (e *evaluation) openMeasures(ctx context.Context) (err error) {
	e.scorer.Bootstrap = metrics.DefaultBootstrapOptions()
	e.scorer.Bootstrap.Resamples, e.scorer.Bootstrap.Seed = e.o.Resamples, e.o.Seed
	if e.scorer.Metrics.METEOR, err = e.openMETEOR(); err != nil {
		return err
	}
	if e.o.DF != "" {
		f, err := os.Open(e.o.DF)
		if err != nil {
			return fmt.Errorf("read document frequencies: %w", err)
		}
		defer f.Close()
		if e.scorer.Metrics.DF, err = metrics.ReadDocumentFrequencies(f); err != nil {
			return fmt.Errorf("%q: %w", e.o.DF, err)
		}
	}
	return e.openCLIP(ctx)
}

// openMETEOR reads METEOR's data where it is wanted: from --meteor, or else from the cache of weights. Without either
// it is left out, unless it was asked for by name.
func (e *evaluation) openMETEOR() (*metrics.METEOR, error) {
	if !e.o.wants("meteor") {
		return nil, nil
	}
	folder := e.o.METEOR
	if folder == "" {
		s, _, err := published.Open(e.con, published.Options{})
		if err == nil {
			folder, err = s.Path("meteor")
		}
		switch {
		case err == nil:
		case slices.Contains(e.o.metrics.Value(), "meteor"):
			return nil, console.WithHint(fmt.Errorf("METEOR: %w", err),
				"\"captioner weights fetch meteor\" gets its data (62 MB), or --meteor names their folder")
		default:
			return nil, nil
		}
	}
	m, err := metrics.OpenMETEOR(folder)
	if err != nil {
		return nil, console.WithHint(err,
			"--meteor wants the folder meteor of the Python package pycocoevalcap, or one like it")
	}
	return m, nil
}

// openCLIP opens the CLIP that --clip names, where CLIPScore or RefCLIPScore is wanted.
func (e *evaluation) openCLIP(ctx context.Context) error {
	if e.o.CLIP == "" || !e.o.wants("clipscore") && !e.o.wants("refclipscore") {
		return nil
	}
	set := e.scorer.Set
	if set.Kind == predictions.KindLines || set.Kind == predictions.KindObject {
		return console.WithHint(fmt.Errorf("%q is %s, and names no images for --clip to look at", set.Path, set.Kind),
			"give captions with their images, and --images where these are elsewhere")
	}
	heads, err := e.o.Model.Heads.Parse()
	if err != nil {
		return err
	}
	heads.Activation = string(e.o.CLIPActivation)
	m, name, err := model.OpenCLIP(ctx, e.con, e.o.CLIP, e.o.Model.Device, heads)
	if err != nil {
		return err
	}
	if err := heads.Unused(encoder.CLIPPart, encoder.TextPart); err != nil {
		m.Close()
		return err
	}
	o := image.DefaultOptions()
	o.Orient = !e.o.NoOrient
	var progress *console.Progress
	e.scorer.CLIP = &evaluate.CLIP{
		Model: m, Name: name, Batch: e.o.BatchSize, Workers: e.o.Workers, Image: o,
		Failed: func(err error) { e.con.Term.Fail(captioning.Hint(err)) },
		Done: func(batch, left int) {
			if batch == 0 {
				progress = console.NewProgress(e.con.Term, "image")
				progress.Expect(int64(left))
			} else {
				progress.Add(int64(batch), 0)
			}
			if left == 0 {
				progress.Finish()
			}
		},
	}
	return nil
}

// compare scores the other predictions, and tests the difference on the images that both have.
func (e *evaluation) compare(ctx context.Context) error {
	p, err := predictions.Read(e.o.Against)
	if err != nil {
		return err
	}
	logNotes(e.con, p.Notes)
	m, mismatches, err := e.scorer.Match(p)
	if err != nil {
		return err
	}
	if err := e.report(p.File, mismatches.OfPredictions()); err != nil {
		return err
	}
	if e.comparison, err = e.scorer.Compare(ctx, e.system, m); err != nil {
		return err
	}
	if c := e.comparison; c.Images < len(e.system.Pairs) {
		e.con.Term.Log.Warn(fmt.Sprintf("compared on the %s that both have, of %d scored",
			plural.Count(c.Images, "image"), len(e.system.Pairs)))
	}
	return nil
}
