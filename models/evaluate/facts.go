package evaluate

import (
	"fmt"
	"math"
	"slices"

	"captioner/data"
	"captioner/data/metrics"
	"captioner/data/predictions"
	"captioner/data/tokenizer"
)

// How many images clip-text-decoder scores, and by which seed it chooses them.
const (
	SampleGPT2   = 4096 // 1.2.0
	SampleHF     = 2048 // 1.4.4
	OriginalSeed = 0
)

// originals are the numbers of clip-text-decoder, over the images that it would have drawn, where they are wanted.
func (s *Scorer) originals(pairs []predictions.Pair) ([]Measure, error) {
	var out []Measure
	if s.Wants("bleu-hf") {
		hyps, refs := CaptionsOf(s.sample(pairs, SampleHF))
		v, err := metrics.HFBLEU(hyps, refs)
		if err != nil {
			return nil, err
		}
		out = append(out, Measure{Name: "BLEU-HF", Value: v})
	}
	if !s.Wants("bleu-gpt2") {
		return out, nil
	}
	t := tokenizer.GPT2()
	var hyps [][]int32
	var refs [][][]int32
	for _, p := range s.sample(pairs, SampleGPT2) {
		hyps = append(hyps, t.Encode(p.Caption))
		var r [][]int32
		for _, c := range p.Example.Captions {
			r = append(r, t.Encode(c))
		}
		refs = append(refs, r)
	}
	v, err := metrics.TokenBLEU(hyps, refs)
	return append(out, Measure{Name: "BLEU-GPT2", Value: v}), err
}

// sample is the part of the pairs whose examples clip-text-decoder would draw from the data set.
func (s *Scorer) sample(pairs []predictions.Pair, n int) []predictions.Pair {
	if n >= len(s.Examples) {
		return pairs
	}
	drawn := map[int]bool{}
	for _, i := range metrics.SampleIndices(len(s.Examples), n, OriginalSeed) {
		drawn[i] = true
	}
	return slices.DeleteFunc(slices.Clone(pairs), func(p predictions.Pair) bool { return !drawn[p.Index] })
}

// Facts lists what captions are like. training, the captions of a data set, is for novelty; "" leaves that out.
func (s *Scorer) Facts(pairs []predictions.Pair, training string) ([]Fact, error) {
	known, err := trainingCaptions(training)
	if err != nil {
		return nil, fmt.Errorf("read training captions: %w", err)
	}
	hyps, _ := CaptionsOf(pairs)
	d := metrics.Describe(hyps, known)
	var out []Fact
	if s.Wants("distinct") {
		out = append(out,
			Fact{"vocabulary", "different words", float64(d.Vocabulary)},
			Fact{"mean-length", "words a caption", d.MeanLength})
		for i, v := range d.Distinct {
			out = append(out, Fact{fmt.Sprintf("distinct-%d", i+1), fmt.Sprintf("distinct-%d", i+1), v})
		}
		out = append(out,
			Fact{"unique", "different captions", d.Unique},
			Fact{"repetition", "repeat a trigram", d.Repetitive},
			Fact{"dangling", "break off", d.Dangling})
	}
	if !math.IsNaN(d.Novel) {
		out = append(out, Fact{"novelty", "not in training", d.Novel})
	}
	return out, nil
}

func trainingCaptions(path string) ([]string, error) {
	if path == "" {
		return nil, nil
	}
	set, err := predictions.ReadReferences("", path)
	if err != nil {
		return nil, err
	}
	var out []string
	for c, err := range data.Captions(set.Source) {
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}
