package metrics

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestDescribe(t *testing.T) {
	captions := []string{"A dog runs on the", "a dog runs.", "a dog a dog a dog", "A dog runs on the"}
	got := Describe(captions, []string{"A DOG RUNS", "a cat"})
	// Words: 5+3+6+5; unigrams a, dog, runs, on, the; bigrams "a dog", "dog runs", "runs on", "on the", "dog a".
	want := Description{Captions: 4, Words: 19, Vocabulary: 5, MeanLength: 4.75,
		Distinct: [4]float64{5.0 / 19, 5.0 / 15, 5.0 / 11,
			4.0 / 7}, Unique: 0.75, Repetitive: 0.25, Dangling: 0.5, Novel: 0.75}
	if d := cmp.Diff(want, got, cmpopts.EquateApprox(0, 1e-12)); d != "" {
		t.Errorf("Describe: (-want +got)\n%s", d)
	}
	if got := Describe(captions, nil).Novel; !math.IsNaN(got) {
		t.Errorf("novelty without training captions: got %v, want NaN", got)
	}
	if got := Describe([]string{"a cat and a cat"}, nil).Repetitive; got != 0 {
		t.Errorf("a bigram twice: got %v repetitive, want 0", got)
	}
	if got := Describe(nil, nil); got.MeanLength != 0 || got.Captions != 0 {
		t.Errorf("no captions: got %+v, want zeros", got)
	}
}

// corpora returns captions of two systems: b is a with some captions made worse.
func corpora(t *testing.T) (a, b *Each) {
	t.Helper()
	var f struct{ Captions [][]string }
	fixture(t, "scores.json", &f)
	hyps, refs := heldOut(f.Captions)
	worse := append([]string(nil), hyps...)
	for i := range worse {
		if i%3 == 0 {
			worse[i] = "a thing with a thing"
		}
	}
	for i, h := range [][]string{hyps, worse} {
		c, err := NewCorpus(h, refs)
		if err != nil {
			t.Fatal(err)
		}
		_, e := c.Evaluate(Options{})
		if i == 0 {
			a = e
		} else {
			b = e
		}
	}
	return a, b
}

func TestBootstrap(t *testing.T) {
	e, _ := corpora(t)
	o := DefaultBootstrapOptions()
	got, err := e.Bootstrap(o)
	if err != nil {
		t.Fatal(err)
	}
	again, err := e.Bootstrap(o)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(got, again); d != "" {
		t.Errorf("the same seed twice: (-first +second)\n%s", d)
	}
	var names []string
	for _, x := range got {
		names = append(names, x.Name)
		if !(x.Low < x.Value && x.Value < x.High) {
			t.Errorf("%s: got %v in [%v, %v], want it inside", x.Name, x.Value, x.Low, x.High)
		}
	}
	if want := "BLEU-1 BLEU-2 BLEU-3 BLEU-4 ROUGE-L CIDEr CIDEr-D CIDEr-plain"; strings.Join(names, " ") != want {
		t.Errorf("measures: got %v, want %s", names, want)
	}
	// A mean over images has the known interval of a mean.
	for _, x := range got {
		if x.Name != "ROUGE-L" {
			continue
		}
		v := 0.0
		for _, r := range e.ROUGEL {
			v += (r - x.Value) * (r - x.Value)
		}
		n := float64(len(e.ROUGEL))
		half := 1.96 * math.Sqrt(v/n/n)
		near(t, "half the interval of ROUGE-L", (x.High-x.Low)/2, half, 0.15*half)
	}
	o.Resamples = 0
	if _, err := e.Bootstrap(o); err == nil {
		t.Error("no resamples: got no error")
	}
}

func TestCompare(t *testing.T) {
	a, b := corpora(t)
	o := DefaultBootstrapOptions()
	worse, err := Compare(a, b, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range worse {
		if !(d.Delta < 0 && d.Low < d.Delta && d.P < 0.1) || d.Delta != d.B-d.A {
			t.Errorf("%s: got %+v, want a clear loss", d.Name, d)
		}
	}
	same, err := Compare(a, a, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range same {
		if d.Delta != 0 || d.P != 1 {
			t.Errorf("%s against itself: got %+v, want no difference and P 1", d.Name, d)
		}
	}
	b.Stats = b.Stats[1:]
	if _, err := Compare(a, b, o); err == nil {
		t.Error("different numbers of captions: got no error")
	}
}

func TestDocumentFrequencies(t *testing.T) {
	var f struct{ Captions [][]string }
	fixture(t, "scores.json", &f)
	hyps, refs := heldOut(f.Captions)
	c, err := NewCorpus(hyps, refs)
	if err != nil {
		t.Fatal(err)
	}
	df, err := CountDocumentFrequencies(refs)
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := df.Write(&file); err != nil {
		t.Fatal(err)
	}
	if df, err = ReadDocumentFrequencies(&file); err != nil {
		t.Fatal(err)
	}
	s, _ := c.Evaluate(Options{DF: df})
	near(t, "CIDEr-D with the same frequencies", s.CIDErD, s.CIDEr, 1e-12)
	df.Images *= 2
	if s, _ = c.Evaluate(Options{DF: df}); math.Abs(s.CIDErD-s.CIDEr) < 1e-3 {
		t.Errorf("CIDEr-D with other frequencies: got %v, want other than %v", s.CIDErD, s.CIDEr)
	}
	for _, bad := range []string{"", "{}", `{"images":1,"counts":{"a":2}}`, `{"images":1,"counts":{"a b c d e":1}}`,
		`{"images":1,"counts":{"a":-1}}`} {
		if _, err := ReadDocumentFrequencies(strings.NewReader(bad)); err == nil {
			t.Errorf("ReadDocumentFrequencies(%q): got no error", bad)
		}
	}
}

func Example() {
	captions := []string{"a dog runs on the beach", "two people ride bikes"}
	references := [][]string{{"a dog running on a beach", "the dog runs on the sand"}, {"two people are riding bikes",
		"a couple rides bicycles"}}
	scores := Score(captions, references)
	fmt.Printf("BLEU-4 %.4f, ROUGE-L %.4f, CIDEr %.4f\n", scores.BLEU[3], scores.ROUGEL, scores.CIDEr)
	// Output: BLEU-4 0.4653, ROUGE-L 0.6601, CIDEr 2.5256
}

// A measure from elsewhere is a mean, with an interval, and is compared; captions that it could not be had of are left
// out.
func TestOtherMeasures(t *testing.T) {
	var e [2]*Each
	for i, values := range [][]float64{{0.5, math.NaN(), 1}, {0.25, math.NaN(), 0.5}} {
		c, err := NewCorpus([]string{"a dog", "a cat", "a cow"}, [][]string{{"a dog"}, {"a cat"}, {"a pig"}})
		if err != nil {
			t.Fatal(err)
		}
		_, e[i] = c.Evaluate(Options{})
		e[i].Others = []Other{{"CLIPScore", values}}
	}
	all := e[0].Values()
	if last := all[len(all)-1]; last != (Named{"CLIPScore", 0.75}) || len(all) != 9 {
		t.Errorf("got %v of %d measures, want CLIPScore 0.75 as the last of 9", last, len(all))
	}
	intervals, err := e[0].Bootstrap(DefaultBootstrapOptions())
	if err != nil {
		t.Fatal(err)
	}
	if v := intervals[len(intervals)-1]; v.Name != "CLIPScore" || v.Value != 0.75 || v.Low < 0 || v.High != 1 {
		t.Errorf("interval: got %+v", v)
	}
	differences, err := Compare(e[0], e[1], DefaultBootstrapOptions())
	if err != nil {
		t.Fatal(err)
	}
	if d := differences[len(differences)-1]; d.Name != "CLIPScore" || d.Delta != -0.375 {
		t.Errorf("difference: got %+v", d)
	}
	e[1].Others = nil
	if _, err := Compare(e[0], e[1], DefaultBootstrapOptions()); err == nil {
		t.Error("systems of different measures: got no error")
	}
}
