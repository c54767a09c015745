package metrics

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// shared returns a path in the shared data, or skips the test.
func shared(t testing.TB, elem ...string) string {
	t.Helper()
	root := os.Getenv("CAPTIONER_SHARED")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared")
	}
	path := filepath.Join(append([]string{root, "data"}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("shared data: %v (set CAPTIONER_SHARED to its folder)", err)
	}
	return path
}

func lines(t testing.TB, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

func near(t *testing.T, name string, got, want, tolerance float64) {
	t.Helper()
	if d := math.Abs(got - want); !(d <= tolerance) {
		t.Errorf("%s: got %.12f, want %.12f, difference %.2g, allowed %.2g", name, got, want, d, tolerance)
	}
}

// The values are those that nlg-eval publishes for its two example files.
func TestPublishedNLGEval(t *testing.T) {
	hyps := lines(t, shared(t, "metrics", "nlg-eval", "hyp.txt"))
	ref1 := lines(t, shared(t, "metrics", "nlg-eval", "ref1.txt"))
	ref2 := lines(t, shared(t, "metrics", "nlg-eval", "ref2.txt"))
	refs := make([][]string, len(hyps))
	for i := range hyps {
		refs[i] = []string{ref1[i], ref2[i]}
	}
	// nlg-eval scores words between blanks and does not tokenize.
	split := func(s string) []string { return strings.Fields(s) }
	var h [][]string
	var r [][][]string
	for i := range hyps {
		h = append(h, split(hyps[i]))
		r = append(r, [][]string{split(refs[i][0]), split(refs[i][1])})
	}
	c, err := NewTokenCorpus(h, r)
	if err != nil {
		t.Fatal(err)
	}
	s, _ := c.Evaluate(Options{})
	for n, want := range []float64{0.55, 0.428174, 0.284043, 0.201143} {
		near(t, "BLEU", s.BLEU[n], want, 5e-7)
	}
	near(t, "ROUGE-L", s.ROUGEL, 0.522104, 5e-7)
	near(t, "CIDEr", s.CIDEr, 1.242192, 5e-7)
}
