package metrics

import (
	"os"
	"testing"
)

// BenchmarkScore tokenizes and scores COCO val2017, 5,000 images, one caption held out against the other four or more:
// what scripts/bench/metrics.py compares with pycocoevalcap.
func BenchmarkScore(b *testing.B) {
	hyps, refs := heldOut(cocoCaptions(b))
	for b.Loop() {
		Score(hyps, refs)
	}
}

// BenchmarkTokenize tokenizes all captions of COCO val2017.
func BenchmarkTokenize(b *testing.B) {
	var all []string
	for _, c := range cocoCaptions(b) {
		all = append(all, c...)
	}
	b.ReportAllocs()
	for b.Loop() {
		TokenizeAll(all)
	}
}

// BenchmarkMETEOR opens METEOR's data and scores COCO val2017, as one run of pycocoevalcap does.
func BenchmarkMETEOR(b *testing.B) {
	dir := os.Getenv("CAPTIONER_METEOR")
	if dir == "" {
		b.Skip("CAPTIONER_METEOR does not name a folder with meteor-1.5.jar and data/paraphrase-en.gz")
	}
	hyps, refs := heldOut(cocoCaptions(b))
	c, err := NewCorpus(hyps, refs)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		m, err := OpenMETEOR(dir)
		if err != nil {
			b.Fatal(err)
		}
		m.corpus(c)
	}
}

// BenchmarkOpenMETEOR reads METEOR's data alone.
func BenchmarkOpenMETEOR(b *testing.B) {
	dir := os.Getenv("CAPTIONER_METEOR")
	if dir == "" {
		b.Skip("CAPTIONER_METEOR does not name a folder with meteor-1.5.jar and data/paraphrase-en.gz")
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := OpenMETEOR(dir); err != nil {
			b.Fatal(err)
		}
	}
}
