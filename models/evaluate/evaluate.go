// Package evaluate scores the captions of a data set: it matches them to the references, measures them as coco-caption
// does, with intervals and paired comparison, and looks at the images by CLIP.
//
// A [Scorer] holds what is scored against and by which measures. Match puts predictions to the images, Score measures
// them, and Compare tests the difference to others.
package evaluate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"captioner/data"
	"captioner/data/metrics"
	"captioner/data/predictions"
	"captioner/weights/plural"
)

// Scorer scores captions against the references of a data set. It may not be used by two goroutines at once.
type Scorer struct {
	Set      data.Dataset
	Examples []data.Example // of Set

	Wants     func(family string) bool // which measures are wanted: words of Families
	Together  bool                     // captions are tokenized in one call, as coco-caption does
	ZeroFill  bool                     // an image without a prediction gets an empty one
	Metrics   metrics.Options
	Bootstrap metrics.BootstrapOptions // of intervals and p-values; without Resamples there are no intervals
	CLIP      *CLIP                    // nil: no CLIPScore
}

// Families are the words that choose measures.
var Families = []string{
	"bleu", "meteor", "rouge-l", "cider", "cider-d", "cider-plain", "clipscore", "refclipscore", "distinct", "novelty",
	"bleu-gpt2", "bleu-hf",
}

// Family is the word that chooses a measure: "bleu" for "BLEU-4".
func Family(measure string) string {
	name := strings.ToLower(measure)
	if strings.HasPrefix(name, "bleu-") && len(name) == len("bleu-4") {
		return "bleu"
	}
	return name
}

// System is one set of captions with its scores.
type System struct {
	Pairs  []predictions.Pair
	Corpus *metrics.Corpus
	Each   *metrics.Each
}

// Measure is a score of all captions.
type Measure struct {
	Name             string
	Value, Low, High float64
	Interval         bool // Low and High are known
}

// Fact is a number about the captions alone.
type Fact struct {
	Key, Name string
	Value     float64
}

// Match puts predictions to their images and says what does not fit.
func (s *Scorer) Match(p *predictions.Set) (*predictions.Match, Mismatches, error) {
	m, err := p.Match(s.Set.Kind, s.Examples)
	if err != nil {
		return nil, nil, fmt.Errorf("score %q against %q: %w", p.File, s.Set.Path, err)
	}
	mismatches := mismatchesOf(m, s.ZeroFill)
	if s.ZeroFill {
		all := *p
		all.List = slices.Clone(p.List)
		for _, id := range slices.Concat(m.Missing, m.Failed) {
			all.List = append(all.List, predictions.Prediction{ID: id})
		}
		if m, err = all.Match(s.Set.Kind, s.Examples); err != nil {
			return nil, nil, err
		}
	}
	if len(m.Pairs) == 0 {
		return nil, mismatches, fmt.Errorf("score %q: none of %s has a caption", p.File,
			plural.Count(len(m.Missing)+len(m.Failed), "image"))
	}
	return m, mismatches, nil
}

// Score measures captions.
func (s *Scorer) Score(ctx context.Context, pairs []predictions.Pair) (System, error) {
	out := System{Pairs: pairs}
	hyps, refs := CaptionsOf(pairs)
	var err error
	if s.Together {
		out.Corpus, err = metrics.NewCocoCorpus(hyps, refs)
	} else {
		out.Corpus, err = metrics.NewCorpus(hyps, refs)
	}
	if err != nil {
		return out, err
	}
	_, out.Each = out.Corpus.Evaluate(s.Metrics)
	if s.CLIP != nil {
		err = s.CLIP.add(ctx, pairs, out.Each)
	}
	return out, err
}

// CaptionsOf are the captions of pairs and their references.
func CaptionsOf(pairs []predictions.Pair) (hyps []string, refs [][]string) {
	for _, p := range pairs {
		hyps, refs = append(hyps, p.Caption), append(refs, p.Example.Captions)
	}
	return hyps, refs
}

// Measures lists the scores that are wanted, with their intervals.
func (s *Scorer) Measures(sys System) ([]Measure, error) {
	var out []Measure
	for _, v := range sys.Each.Values() {
		if s.Wants(Family(v.Name)) {
			out = append(out, Measure{Name: v.Name, Value: v.Value})
		}
	}
	if s.Bootstrap.Resamples > 0 {
		intervals, err := sys.Each.Bootstrap(s.Bootstrap)
		if err != nil {
			return nil, err
		}
		for i := range out {
			for _, v := range intervals {
				if v.Name == out[i].Name {
					out[i].Low, out[i].High, out[i].Interval = v.Low, v.High, true
				}
			}
		}
	}
	originals, err := s.originals(sys.Pairs)
	return append(out, originals...), err
}

// Doubts says where the scores mean less than they seem to.
func (s *Scorer) Doubts(sys System) []string {
	hyps, _ := CaptionsOf(sys.Pairs)
	different := map[string]bool{}
	for _, h := range hyps {
		different[h] = true
	}
	var out []string
	if len(sys.Pairs) == 1 && (s.Wants("cider") || s.Wants("cider-d")) {
		out = append(out, "CIDEr of one image is always 0: it weighs words by how few images have them")
	}
	if len(hyps) > 1 && len(different) == 1 {
		if strings.TrimSpace(hyps[0]) == "" {
			return append(out, "all captions are empty")
		}
		out = append(out, fmt.Sprintf("all %s are the same: %q", plural.Count(len(hyps), "caption"), hyps[0]))
	}
	return out
}

// Comparison is a system on the images that another one has too.
type Comparison struct {
	Images      int
	Other       map[int]string // captions of the other, by the number of the example
	Differences []metrics.Difference
}

// Compare scores the captions of a match and tests their difference to ours on the images that both have.
func (s *Scorer) Compare(ctx context.Context, ours System, theirs *predictions.Match) (*Comparison, error) {
	c := &Comparison{Other: map[int]string{}}
	for _, pair := range theirs.Pairs {
		c.Other[pair.Index] = pair.Caption
	}
	var a, b []predictions.Pair
	for _, pair := range ours.Pairs {
		if other, ok := c.Other[pair.Index]; ok {
			b = append(b, pair)
			pair.Caption = other
			a = append(a, pair)
		}
	}
	if c.Images = len(b); c.Images == 0 {
		return nil, errors.New("compare: no image has a caption in both files")
	}
	var err error
	if len(b) < len(ours.Pairs) {
		if ours, err = s.Score(ctx, b); err != nil {
			return nil, err
		}
	}
	other, err := s.Score(ctx, a)
	if err != nil {
		return nil, err
	}
	if c.Differences, err = metrics.Compare(other.Each, ours.Each, s.Bootstrap); err != nil {
		return nil, err
	}
	c.Differences = slices.DeleteFunc(c.Differences, func(d metrics.Difference) bool { return !s.Wants(Family(d.Name)) })
	return c, nil
}
