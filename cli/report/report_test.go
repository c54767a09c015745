package report

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

// pageOf is a page of n captions.
func pageOf(t *testing.T, n int, measures ...string) string {
	t.Helper()
	p := Page{Title: "A page", Names: []string{"CIDEr"}, Shown: n, Failed: 4}
	for _, m := range measures {
		p.Measures = append(p.Measures, Measure{Name: m, Value: 0.5})
	}
	for i := range n {
		p.Items = append(p.Items, Item{ID: "7", Name: "a b.jpg", Link: "photos/a%20b.jpg", Caption: "a dog",
			References: []string{"a dog runs"}, Scores: []float64{float64(i)}, Words: []string{"a", "dog"},
			Reference: [][]string{{"a", "dog", "runs"}},
			Picture:   func() ([]byte, error) { return onePixel, nil }})
	}
	var b bytes.Buffer
	if err := Write(&b, p); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// onePixel is a GIF.
var onePixel = []byte("GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00" +
	",\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;")

func TestPage(t *testing.T) {
	got := pageOf(t, 12, "BLEU-1", "BLEU-2", "BLEU-3", "CIDEr")
	for _, want := range []string{
		"12 captions scored, 4 images failed", `href="photos/a%20b.jpg"`, "1. 7, a b.jpg", "<dt>BLEU-2, BLEU-3</dt>",
		"METEOR is not here",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if got := pageOf(t, 1, "METEOR"); strings.Contains(got, "METEOR is not here") {
		t.Error("METEOR is there, and said to be absent")
	}
}

// Labels have one size whatever the width: no drawing is scaled.
func TestChartsAreNotScaled(t *testing.T) {
	got := pageOf(t, 3, "CIDEr")
	if strings.Contains(got, "viewBox") || strings.Contains(got, "%!") {
		t.Error("a drawing is scaled, or a number is not one")
	}
	labels := regexp.MustCompile(`<text [^>]*y="196"[^>]*>`).FindAllString(got, -1)
	if len(labels) == 0 || len(labels) > 3*labelsMost {
		t.Errorf("%d labels below the bars, want some, and at most %d a chart", len(labels), labelsMost)
	}
}
