package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"

	"captioner/cli/console"
	"captioner/cli/published"
	"captioner/data"
	"captioner/data/metrics"
	"captioner/data/tokenizer"
)

// system is one set of captions with its scores.
type system struct {
	pairs  []data.Pair
	corpus *metrics.Corpus
	each   *metrics.Each
}

// measure is a score of all captions.
type measure struct {
	name             string
	value, low, high float64
	interval         bool
}

// fact is a number about the captions alone.
type fact struct {
	key, name string
	value     float64
}

// comparison is a system on the pictures that another one has too.
type comparison struct {
	path        string
	images      int
	other       map[int]string // captions of the other, by the number of the example
	differences []metrics.Difference
}

// misfit is something that did not fit, and was counted.
type misfit struct {
	key   string
	names []string
	one   string // "prediction is of no image"
	many  string
}

type misfits []misfit

// found lists what a match could not use, or used with a doubt.
func found(m *data.Match, missing string) misfits {
	unscored := "not scored"
	if missing == "empty" {
		unscored = "scored as empty"
	}
	return misfits{
		{"missing", m.Missing, "image has no prediction: " + unscored, "images have no prediction: " + unscored},
		{"failed", m.Failed, "image has an error in the place of a caption: " + unscored, "images have an error in the place of a caption: " + unscored},
		{"extra", m.Extra, "prediction is of no image among the references: not scored", "predictions are of no image among the references: not scored"},
		{"duplicate", m.Repeated, "prediction is of an image that has one: the first is scored", "predictions are of images that have one: the first is scored"},
		{"empty", m.Empty, "caption is empty: scored as it is", "captions are empty: scored as they are"},
		{"unreferenced", m.Unreferenced, "image has no references: not scored", "images have no references: not scored"},
		{"empty_references", m.EmptyReferences, "image has an empty reference: scored as it is", "images have an empty reference: scored as they are"},
		{"duplicate_references", m.RepeatedExamples, "image is in the references twice: the first counts", "images are in the references twice: the first counts"},
	}
}

// lines are the misfits for people.
func (f misfits) lines() []string {
	var out []string
	for _, x := range f {
		switch n := len(x.names); {
		case n == 1:
			out = append(out, fmt.Sprintf("1 %s (%q)", x.one, x.names[0]))
		case n > 1:
			out = append(out, fmt.Sprintf("%d %s (the first: %q)", n, x.many, x.names[0]))
		}
	}
	return out
}

// score matches and scores the predictions.
func (e *evaluation) score(ctx context.Context) error {
	m, err := e.matched(e.predictions)
	if err != nil {
		return err
	}
	if err := e.report(e.predictions.File, &e.misfits); err != nil {
		return err
	}
	options, err := e.metricOptions()
	if err != nil {
		return err
	}
	if err := e.openCLIP(ctx); err != nil {
		return err
	}
	if e.system, err = e.evaluate(ctx, m.Pairs, options); err != nil {
		return err
	}
	e.unsaid()
	if err := e.measure(); err != nil {
		return err
	}
	return e.describe()
}

// matched puts predictions to their examples and notes what does not fit. With --missing empty, images without a prediction get an empty one.
func (e *evaluation) matched(p *data.Predictions) (*data.Match, error) {
	m, err := data.MatchPredictions(p, e.set.Kind, e.examples)
	if err != nil {
		return nil, fmt.Errorf("score %q against %q: %w", p.File, e.set.Path, err)
	}
	e.misfits = found(m, e.o.Missing)
	if e.o.Missing == "empty" {
		all := *p
		all.List = slices.Clone(p.List)
		for _, id := range slices.Concat(m.Missing, m.Failed) {
			all.List = append(all.List, data.Prediction{ID: id})
		}
		if m, err = data.MatchPredictions(&all, e.set.Kind, e.examples); err != nil {
			return nil, err
		}
	}
	if len(m.Pairs) == 0 {
		return nil, fmt.Errorf("score %q: none of %d images has a caption", p.File, len(m.Missing)+len(m.Failed))
	}
	return m, nil
}

// report says what did not fit, or with --strict fails.
func (e *evaluation) report(file string, f *misfits) error {
	lines := f.lines()
	if e.o.Strict && len(lines) > 0 {
		return fmt.Errorf("--strict: %q: %s", file, strings.Join(lines, "; "))
	}
	for _, line := range lines {
		e.con.Term.Log.Warn(console.Visible(file + ": " + line))
	}
	return nil
}

// unsaid counts captions that are not empty but have no words, such as "…", and pictures that CLIP could not be shown.
func (e *evaluation) unsaid() {
	var names []string
	for i, pair := range e.pairs {
		if len(e.corpus.Tokens(i)) == 0 && pair.Caption != "" {
			names = append(names, pair.Example.ID)
		}
	}
	f := misfits{{"wordless", names, "caption has no words: scored as it is", "captions have no words: scored as they are"}}
	if e.clip != nil {
		f = append(f, misfit{"unseen", e.clip.unseen, "picture cannot be read: left out of CLIPScore", "pictures cannot be read: left out of CLIPScore"})
	}
	for _, line := range f.lines() {
		e.con.Term.Log.Warn(console.Visible(e.predictions.File + ": " + line))
	}
	e.misfits = append(e.misfits, f...)
}

// metricOptions reads what some measures need.
func (e *evaluation) metricOptions() (o metrics.Options, err error) {
	if o.METEOR, err = e.openMETEOR(); err != nil {
		return o, err
	}
	if e.o.DF == "" {
		return o, nil
	}
	f, err := os.Open(e.o.DF)
	if err != nil {
		return o, fmt.Errorf("read document frequencies: %w", err)
	}
	defer f.Close()
	if o.DF, err = metrics.ReadDocumentFrequencies(f); err != nil {
		return o, fmt.Errorf("%q: %w", e.o.DF, err)
	}
	return o, nil
}

// openMETEOR reads METEOR's data where it is wanted: from --meteor, or else from the cache of weights. Without either it is left out, unless it
// was asked for by name.
func (e *evaluation) openMETEOR() (*metrics.METEOR, error) {
	if !e.o.wants("meteor") || e.meteor != nil {
		return e.meteor, nil
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
			return nil, console.WithHint(fmt.Errorf("METEOR: %w", err), "\"captioner weights fetch meteor\" gets its data (62 MB), or --meteor names their folder")
		default:
			return nil, nil
		}
	}
	m, err := metrics.OpenMETEOR(folder)
	if err != nil {
		return nil, console.WithHint(err, "--meteor wants the folder meteor of the Python package pycocoevalcap, or one like it")
	}
	e.meteor = m
	return m, nil
}

func (e *evaluation) evaluate(ctx context.Context, pairs []data.Pair, o metrics.Options) (s system, err error) {
	s.pairs = pairs
	hyps, refs := captionsOf(pairs)
	if e.o.Tokenize == "together" {
		s.corpus, err = metrics.NewCocoCorpus(hyps, refs)
	} else {
		s.corpus, err = metrics.NewCorpus(hyps, refs)
	}
	if err != nil {
		return s, err
	}
	_, s.each = s.corpus.Evaluate(o)
	if e.clip != nil {
		err = e.clip.add(ctx, e, pairs, s.each)
	}
	return s, err
}

func captionsOf(pairs []data.Pair) (hyps []string, refs [][]string) {
	for _, p := range pairs {
		hyps, refs = append(hyps, p.Caption), append(refs, p.Example.Captions)
	}
	return hyps, refs
}

func (e *evaluation) bootstrapOptions() metrics.BootstrapOptions {
	b := metrics.DefaultBootstrapOptions()
	b.Resamples, b.Seed = e.o.Resamples, e.o.Seed
	return b
}

// measure lists the scores that are wanted, with their intervals.
func (e *evaluation) measure() error {
	for _, v := range e.each.Values() {
		if e.o.wants(familyOf(v.Name)) {
			e.measures = append(e.measures, measure{name: v.Name, value: v.Value})
		}
	}
	if e.o.Resamples > 0 {
		intervals, err := e.each.Bootstrap(e.bootstrapOptions())
		if err != nil {
			return err
		}
		for i := range e.measures {
			m := &e.measures[i]
			for _, v := range intervals {
				if v.Name == m.name {
					m.low, m.high, m.interval = v.Low, v.High, true
				}
			}
		}
	}
	return e.originals()
}

// How many images clip-text-decoder scores, and by which seed it chooses them.
const (
	sampleGPT2   = 4096 // 1.2.0
	sampleHF     = 2048 // 1.4.4
	originalSeed = 0
)

// originals adds the numbers of clip-text-decoder, over the images that it would have drawn.
func (e *evaluation) originals() error {
	if e.o.wants("bleu-hf") {
		hyps, refs := captionsOf(e.sample(sampleHF))
		v, err := metrics.HFBLEU(hyps, refs)
		if err != nil {
			return err
		}
		e.measures = append(e.measures, measure{name: "BLEU-HF", value: v})
	}
	if !e.o.wants("bleu-gpt2") {
		return nil
	}
	t := tokenizer.GPT2()
	var hyps [][]int32
	var refs [][][]int32
	for _, p := range e.sample(sampleGPT2) {
		hyps = append(hyps, t.Encode(p.Caption))
		var r [][]int32
		for _, c := range p.Example.Captions {
			r = append(r, t.Encode(c))
		}
		refs = append(refs, r)
	}
	v, err := metrics.TokenBLEU(hyps, refs)
	e.measures = append(e.measures, measure{name: "BLEU-GPT2", value: v})
	return err
}

// sample is the part of the pairs whose examples clip-text-decoder would draw from the data set.
func (e *evaluation) sample(n int) []data.Pair {
	if n >= len(e.examples) {
		return e.pairs
	}
	drawn := map[int]bool{}
	for _, i := range metrics.SampleIndices(len(e.examples), n, originalSeed) {
		drawn[i] = true
	}
	return slices.DeleteFunc(slices.Clone(e.pairs), func(p data.Pair) bool { return !drawn[p.Index] })
}

// describe lists what the captions are like.
func (e *evaluation) describe() error {
	var training []string
	if e.o.Training != "" && e.o.wants("novelty") {
		set, err := data.ReadReferences("", e.o.Training)
		if err != nil {
			return fmt.Errorf("read training captions: %w", err)
		}
		for c, err := range data.Captions(set.Source) {
			if err != nil {
				return fmt.Errorf("read training captions: %w", err)
			}
			training = append(training, c)
		}
	}
	hyps, _ := captionsOf(e.pairs)
	d := metrics.Describe(hyps, training)
	if e.o.wants("distinct") {
		e.facts = append(e.facts, fact{"vocabulary", "different words", float64(d.Vocabulary)}, fact{"mean-length", "words a caption", d.MeanLength})
		for i, v := range d.Distinct {
			e.facts = append(e.facts, fact{fmt.Sprintf("distinct-%d", i+1), fmt.Sprintf("distinct-%d", i+1), v})
		}
		e.facts = append(e.facts, fact{"unique", "different captions", d.Unique}, fact{"repetition", "repeat a trigram", d.Repetitive},
			fact{"dangling", "break off", d.Dangling})
	}
	if !math.IsNaN(d.Novel) {
		e.facts = append(e.facts, fact{"novelty", "not in training", d.Novel})
	}
	return nil
}

// compare scores the other predictions, and tests the difference on the images that both have.
func (e *evaluation) compare(ctx context.Context) error {
	p, err := data.ReadPredictions(e.o.Against)
	if err != nil {
		return err
	}
	own := e.misfits
	m, err := e.matched(p)
	theirs := e.misfits
	e.misfits = own
	if err != nil {
		return err
	}
	theirs = slices.DeleteFunc(theirs, func(f misfit) bool {
		return slices.Contains([]string{"unreferenced", "empty_references", "duplicate_references"}, f.key)
	})
	if err := e.report(p.File, &theirs); err != nil {
		return err
	}
	c := &comparison{path: e.o.Against, other: map[int]string{}}
	for _, pair := range m.Pairs {
		c.other[pair.Index] = pair.Caption
	}
	var a, b []data.Pair
	for _, pair := range e.pairs {
		if other, ok := c.other[pair.Index]; ok {
			b = append(b, pair)
			pair.Caption = other
			a = append(a, pair)
		}
	}
	if c.images = len(b); c.images == 0 {
		return errors.New("compare: no image has a caption in both files")
	}
	options, err := e.metricOptions()
	if err != nil {
		return err
	}
	ours := e.system
	if len(b) < len(e.pairs) {
		e.con.Term.Log.Warn(fmt.Sprintf("compared on the %d images that both have, of %d scored", len(b), len(e.pairs)))
		if ours, err = e.evaluate(ctx, b, options); err != nil {
			return err
		}
	}
	other, err := e.evaluate(ctx, a, options)
	if err != nil {
		return err
	}
	if c.differences, err = metrics.Compare(other.each, ours.each, e.bootstrapOptions()); err != nil {
		return err
	}
	c.differences = slices.DeleteFunc(c.differences, func(d metrics.Difference) bool { return !e.o.wants(familyOf(d.Name)) })
	e.comparison = c
	return nil
}
