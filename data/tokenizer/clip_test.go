package tokenizer

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"testing"
)

// goldenCLIP is what scripts/fixtures/cliptokenizer.py wrote with clip-anytorch and ftfy.
type goldenCLIP struct {
	Captions       int
	SHA256         string
	Encode, Decode []struct {
		Text string
		IDs  []int32
	}
	Context []struct {
		Text   string
		Length int
		IDs    []int32
	}
}

func readGoldenCLIP(t testing.TB) goldenCLIP {
	t.Helper()
	b, err := os.ReadFile("testdata/clip.json")
	if err != nil {
		t.Fatal(err)
	}
	var g goldenCLIP
	if err := json.Unmarshal(b, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

func TestCLIPMatchesReference(t *testing.T) {
	g, clip := readGoldenCLIP(t), CLIP()
	if clip.VocabSize() != 49408 || clip.Start() != 49406 || clip.End() != 49407 {
		t.Errorf("got %d ids, start %d, end %d, want 49408, 49406, 49407", clip.VocabSize(), clip.Start(), clip.End())
	}
	for _, c := range g.Encode {
		if got := clip.Encode(c.Text); !slices.Equal(got, c.IDs) {
			t.Errorf("Encode(%q): got %v, want %v", c.Text, got, c.IDs)
		}
	}
	for _, c := range g.Decode {
		if got := clip.Decode(c.IDs); got != c.Text {
			t.Errorf("Decode(%v): got %q, want %q", c.IDs, got, c.Text)
		}
	}
	for _, c := range g.Context {
		got, cut := clip.Context(c.Text, c.Length)
		if want := len(clip.Encode(c.Text))+2 > c.Length; !slices.Equal(got, c.IDs) || cut != want {
			t.Errorf("Context(%q, %d): got %v, cut %v, want %v, %v", c.Text, c.Length, got, cut, c.IDs, want)
		}
	}
	if len(g.Encode) < 900 || len(g.Decode) == 0 || len(g.Context) == 0 {
		t.Errorf("the golden file has %d, %d and %d cases: it is not whole", len(g.Encode), len(g.Decode), len(g.Context))
	}
}

// TestCLIPOnCOCOCaptions compares the ids of all captions of COCO val2017 with the reference's.
func TestCLIPOnCOCOCaptions(t *testing.T) {
	g, texts := readGoldenCLIP(t), cocoCaptions(t)
	if len(texts) != g.Captions {
		t.Fatalf("got %d captions, want %d", len(texts), g.Captions)
	}
	sum := sha256.New()
	for _, text := range texts {
		writeIDs(sum, CLIP().Encode(text))
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != g.SHA256 {
		t.Errorf("ids of all captions: got SHA-256 %s, want %s", got, g.SHA256)
	}
}

func TestCLIPOnOddText(t *testing.T) {
	for _, text := range []string{"\xff", "caf\xe9 noir", "a\xf0\x9f", "\xed\xa0\x80"} {
		if got, want := CLIP().Encode(text), CLIP().Encode(validUTF8(text)); !slices.Equal(got, want) {
			t.Errorf("Encode(%q): got %v, want %v", text, got, want)
		}
	}
	if got := CLIP().Decode([]int32{-1, 49406, 320, 1125, 1 << 30, 49407}); got != "a photo" {
		t.Errorf("Decode of ids that do not exist: got %q, want %q", got, "a photo")
	}
	for _, n := range []int{0, 1} {
		if got, cut := CLIP().Context("a dog", n); len(got) != n || !cut {
			t.Errorf("Context(…, %d): got %v, %v, want %d ids, cut", n, got, cut, n)
		}
	}
}

func FuzzCLIP(f *testing.F) {
	for _, c := range readGoldenCLIP(f).Encode[:60] {
		f.Add(c.Text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<12 {
			return
		}
		ids := CLIP().Encode(text)
		for _, id := range ids {
			if id < 0 || int(id) >= CLIP().VocabSize() {
				t.Fatalf("Encode(%q): id %d", text, id)
			}
		}
		CLIP().Decode(ids)
	})
}
