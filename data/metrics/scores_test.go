package metrics

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"captioner/data/metrics/ptb"
)

// values are the measures as the fixtures store them.
type values struct {
	BLEU                  []float64
	ROUGEL, CIDEr, METEOR float64
}

// fixture reads a file of testdata, written by scripts/fixtures/metrics.py.
func fixture(t testing.TB, name string, into any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatalf("read fixture %q: %v", name, err)
	}
}

// heldOut takes the first caption of each image as the hypothesis.
func heldOut(images [][]string) (hyps []string, refs [][]string) {
	for _, c := range images {
		hyps, refs = append(hyps, c[0]), append(refs, c[1:])
	}
	return hyps, refs
}

func checkScores(t *testing.T, got Scores, want values) {
	t.Helper()
	const exact = 1e-10
	for n, w := range want.BLEU {
		near(t, "BLEU", got.BLEU[n], w, exact)
	}
	near(t, "ROUGE-L", got.ROUGEL, want.ROUGEL, exact)
	near(t, "CIDEr", got.CIDEr, want.CIDEr, exact)
	near(t, "CIDEr-D", got.CIDErD, want.CIDEr, exact)
}

func checkEach(t *testing.T, e *Each, want []values) {
	t.Helper()
	for i, w := range want {
		checkScores(t, Scores{BLEU: e.BLEU[i], ROUGEL: e.ROUGEL[i], CIDEr: e.CIDEr[i], CIDErD: e.CIDErD[i]}, w)
		if e.METEOR != nil {
			near(t, "METEOR", e.METEOR[i].Score(), w.METEOR, 1e-6)
		}
	}
}

func TestScoresEqualPycocoevalcap(t *testing.T) {
	var f struct {
		Captions [][]string
		Total    values
		Each     []values
	}
	fixture(t, "scores.json", &f)
	hyps, refs := heldOut(f.Captions)
	m, err := OpenMETEOR(filepath.Join("testdata", "meteor"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewCorpus(hyps, refs)
	if err != nil {
		t.Fatal(err)
	}
	s, e := c.Evaluate(Options{METEOR: m})
	checkScores(t, s, f.Total)
	near(t, "METEOR", s.METEOR, f.Total.METEOR, 1e-6)
	checkEach(t, e, f.Each)
	checkScores(t, Score(hyps, refs), f.Total)
	if one := m.Stats(hyps[3], refs[3]).Score(); one != e.METEOR[3].Score() {
		t.Errorf("METEOR of one caption: got %v, want %v as in the corpus", one, e.METEOR[3].Score())
	}
}

// cocoFixture holds what pycocoevalcap gives on all of COCO val2017.
type cocoFixture struct {
	Tokens, TogetherTokens string
	Heldout, Together      values
	Each                   []values
	Fakecap                values
	FakecapImages          int
}

func TestScoresOfCOCO(t *testing.T) {
	images := cocoCaptions(t)
	var f cocoFixture
	fixture(t, "coco.json", &f)
	hyps, refs := heldOut(images)
	c, err := NewCorpus(hyps, refs)
	if err != nil {
		t.Fatal(err)
	}
	var o Options
	if dir := os.Getenv("CAPTIONER_METEOR"); dir != "" {
		if o.METEOR, err = OpenMETEOR(dir); err != nil {
			t.Fatal(err)
		}
	} else {
		t.Log("METEOR left out: CAPTIONER_METEOR does not name a folder with meteor-1.5.jar and data/paraphrase-en.gz")
	}
	s, e := c.Evaluate(o)
	checkScores(t, s, f.Heldout)
	if o.METEOR != nil {
		near(t, "METEOR", s.METEOR, f.Heldout.METEOR, 1e-6)
	}
	checkEach(t, e, f.Each)

	if c, err = NewCocoCorpus(hyps, refs); err != nil {
		t.Fatal(err)
	}
	s, _ = c.Evaluate(Options{})
	checkScores(t, s, f.Together)
}

func TestTokensOfCOCO(t *testing.T) {
	images := cocoCaptions(t)
	var f cocoFixture
	fixture(t, "coco.json", &f)
	digest := func(tokens [][]string) string {
		lines := make([]string, len(tokens))
		for i, x := range tokens {
			lines[i] = strings.Join(x, " ")
		}
		sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
		return hex.EncodeToString(sum[:])
	}
	if got := digest(TokenizeAll(slices.Concat(images...))); got != f.Tokens {
		t.Errorf("digest of all tokens: got %s, want %s", got, f.Tokens)
	}
	hyps, refs := heldOut(images)
	if got := digest(append(ptb.TokenizeTogether(hyps),
		ptb.TokenizeTogether(slices.Concat(refs...))...)); got != f.TogetherTokens {
		t.Errorf("digest of the tokens of two calls: got %s, want %s", got, f.TogetherTokens)
	}
}

// Fake captions of coco-caption's own example.
func TestScoresOfFakecap(t *testing.T) {
	b, err := os.ReadFile(shared(t, "coco_captions_val2017.json"))
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		ImageID int `json:"image_id"`
		Caption string
	}
	var d struct{ Annotations []row }
	var fake []row
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	if b, err = os.ReadFile(shared(t, "metrics", "fakecap", "captions_val2014_fakecap_results.json")); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &fake); err != nil {
		t.Fatal(err)
	}
	by := map[int][]string{}
	for _, a := range d.Annotations {
		by[a.ImageID] = append(by[a.ImageID], a.Caption)
	}
	var hyps []string
	var refs [][]string
	for _, x := range fake {
		if by[x.ImageID] != nil {
			hyps, refs = append(hyps, x.Caption), append(refs, by[x.ImageID])
		}
	}
	var f cocoFixture
	fixture(t, "coco.json", &f)
	if len(hyps) != f.FakecapImages {
		t.Fatalf("images: got %d, want %d", len(hyps), f.FakecapImages)
	}
	checkScores(t, Score(hyps, refs), f.Fakecap)
}

// Published by the authors of CLIPScore for their two example images.
func TestPublishedCLIPScore(t *testing.T) {
	var good map[string]string
	var refs map[string][]string
	for path, into := range map[string]any{"good_captions.json": &good, "refs.json": &refs} {
		b, err := os.ReadFile(shared(t, "metrics", "clipscore", path))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, into); err != nil {
			t.Fatal(err)
		}
	}
	var h []string
	var r [][]string
	for id, c := range good {
		h, r = append(h, c), append(r, refs[id])
	}
	s := Score(h, r)
	for n, want := range []float64{0.6667, 0.4899, 0.3469, 0} {
		near(t, "BLEU", s.BLEU[n], want, 6e-5)
	}
	near(t, "ROUGE-L", s.ROUGEL, 0.4280, 6e-5)
	near(t, "CIDEr", s.CIDEr, 0.5637, 6e-5)
}

func TestOriginalBLEU(t *testing.T) {
	var s struct{ Captions [][]string }
	fixture(t, "scores.json", &s)
	var f struct {
		HF, GPT2 float64
		Hyps     [][]int32
		Refs     [][][]int32
		Cases    [][]json.RawMessage
	}
	fixture(t, "original.json", &f)
	hyps, refs := heldOut(s.Captions)
	got, err := HFBLEU(hyps, refs)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "HFBLEU", got, f.HF, 1e-12)
	if got, err = TokenBLEU(f.Hyps, f.Refs); err != nil {
		t.Fatal(err)
	}
	near(t, "TokenBLEU", got, f.GPT2, 1e-12)
	for _, c := range f.Cases {
		var text string
		var want []string
		if err := json.Unmarshal(c[0], &text); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(c[1], &want); err != nil {
			t.Fatal(err)
		}
		if got := Tokenize13a(text); !slices.Equal(got, want) {
			t.Errorf("Tokenize13a(%q): got %q, want %q", text, got, want)
		}
	}
}

// Every n-gram of the caption is in a reference, so that the length alone decides: against the shortest, not the
// closest.
func TestTokenBLEULength(t *testing.T) {
	hyp := []int32{1, 2, 3, 4, 5, 6}
	long, short := []int32{1, 2, 3, 4, 5, 6, 7, 8}, []int32{9, 9, 9}
	for _, tt := range []struct {
		refs [][]int32
		want float64
	}{{[][]int32{long, short}, 1}, {[][]int32{long}, math.Exp(1 - 8.0/6)}} {
		got, err := TokenBLEU([][]int32{hyp}, [][][]int32{tt.refs})
		if err != nil {
			t.Fatal(err)
		}
		near(t, "TokenBLEU", got, tt.want, 1e-12)
	}
}

// The numbers are those of torch 2.11.0: torch.manual_seed(0); torch.randperm(n)[:12].
func TestSampleIndices(t *testing.T) {
	for n, want := range map[int][]int{
		40504: {5764, 27145, 2753, 39233, 7967, 6370, 38005, 20078, 17233, 8372, 12147, 7267},
		1000:  {44, 37, 675, 775, 947, 209, 719, 500, 561, 264, 261, 825},
	} {
		if got := SampleIndices(n, 12, 0); !slices.Equal(got, want) {
			t.Errorf("SampleIndices(%d, 12, 0): got %v, want %v", n, got, want)
		}
	}
	if got := SampleIndices(3, 10, 0); len(got) != 3 {
		t.Errorf("more than there are: got %d indices, want 3", len(got))
	}
}

func TestCorpusRefuses(t *testing.T) {
	for name, refs := range map[string][][]string{"count": {{"a"}}, "empty": {{"a"}, {}}} {
		if _, err := NewCorpus([]string{"a", "b"}, refs); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
	s := Score([]string{""}, [][]string{{"a dog"}})
	if s.CIDEr != 0 || s.ROUGEL != 0 || math.IsNaN(s.BLEU[3]) {
		t.Errorf("empty caption: got %+v, want zeros", s)
	}
}
