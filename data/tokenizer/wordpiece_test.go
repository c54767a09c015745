package tokenizer

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

// wordPieceGolden is what scripts/fixtures/wordpiece.py wrote with transformers.
type wordPieceGolden struct {
	Captions int    `json:"captions"`
	SHA256   string `json:"captions_sha256"`
	Encode   []struct {
		Text    string
		IDs     []int32
		Special []int32 // of EncodeSpecial, where they differ
		Cased   []int32 // of EncodeSpecial without Lowercase, where they differ
		Decoded string
		Raw     string // without CleanUpSpaces, where it differs
	}
	Decode []struct {
		IDs  []int32
		Text string
	}
}

func readWordPiece(t testing.TB, path string) (g wordPieceGolden) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, &g)
	}
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func bert(t testing.TB, o WordPieceOptions) *WordPiece {
	t.Helper()
	vocab, err := bertVocab()
	if err != nil {
		t.Fatal(err)
	}
	w, err := NewWordPiece(vocab, nil, o)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// CAPTIONER_WORDPIECE names a golden file of more strings, which the fixture's script writes with --all.
func TestWordPieceMatchesTransformers(t *testing.T) {
	lower := bert(t, BERT())
	cased := bert(t, WordPieceOptions{})
	clean := bert(t, WordPieceOptions{Lowercase: true, CleanUp: true, CleanUpSpaces: true})
	paths := []string{"testdata/wordpiece.json"}
	if all := os.Getenv("CAPTIONER_WORDPIECE"); all != "" {
		paths = append(paths, all)
	}
	for _, path := range paths {
		g := readWordPiece(t, path)
		for _, c := range g.Encode {
			special, casedWant := c.Special, c.Cased
			if special == nil {
				special = c.IDs
			}
			if casedWant == nil {
				casedWant = c.IDs
			}
			for _, way := range []struct {
				name      string
				got, want []int32
			}{
				{"Encode", lower.Encode(c.Text), c.IDs},
				{"EncodeSpecial", lower.EncodeSpecial(c.Text), special},
				{"cased: EncodeSpecial", cased.EncodeSpecial(c.Text), casedWant},
			} {
				if !slices.Equal(way.got, way.want) {
					t.Errorf("%s(%q): got %v, want %v", way.name, c.Text, way.got, way.want)
				}
			}
			if got := clean.Decode(special); got != c.Decoded {
				t.Errorf("cleaned: Decode(%v) of %q: got %q, want %q", special, c.Text, got, c.Decoded)
			}
			if got := lower.Decode(special); got != cmp.Or(c.Raw, c.Decoded) {
				t.Errorf("Decode(%v) of %q: got %q, want %q", special, c.Text, got, cmp.Or(c.Raw, c.Decoded))
			}
		}
		for _, c := range g.Decode {
			if got := clean.Decode(c.IDs); got != c.Text {
				t.Errorf("Decode(%v): got %q, want %q", c.IDs, got, c.Text)
			}
		}
		t.Logf("%s: %d strings", path, len(g.Encode))
	}
}

func TestWordPieceCOCOCaptions(t *testing.T) {
	g, texts, w := readWordPiece(t, "testdata/wordpiece.json"), cocoCaptions(t), bert(t, BERT())
	sum := sha256.New()
	for _, text := range texts {
		writeIDs(sum, w.Encode(text))
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != g.SHA256 || len(texts) != g.Captions {
		t.Errorf("ids of %d captions: got SHA-256 %s, want %s of %d", len(texts), got, g.SHA256, g.Captions)
	}
}

// small is a vocabulary for tests that need no more.
const small = "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\ndog\n##s\n.\n'\ns\n"

func TestWordPieceCodec(t *testing.T) {
	added := []AddedToken{{ID: 10, Content: "[DEC]", Special: true}, {ID: 11, Content: "<loc>"}}
	w, err := NewWordPiece([]byte(small), added, BERT())
	if err != nil {
		t.Fatal(err)
	}
	if w.BOS() != 2 || w.EOS() != 3 || w.VocabSize() != 12 || !w.IsSpecial(0) || !w.IsSpecial(10) || w.IsSpecial(11) {
		t.Errorf("got begin %d, end %d, size %d, added tokens %v", w.BOS(), w.EOS(), w.VocabSize(), w.Added())
	}
	if !w.Continues(6) || w.Continues(5) || w.Continues(99) {
		t.Error("Continues: want ##s alone")
	}
	for _, c := range []struct {
		text          string
		plain, parsed []int32
	}{
		{"A dogs<loc>a", []int32{4, 5, 6, 11, 4}, []int32{4, 5, 6, 11, 4}},
		{"[DEC] a dog.", []int32{1, 1, 1, 4, 5, 7}, []int32{10, 4, 5, 7}},
		{"", []int32{}, []int32{}},
	} {
		if got := w.Encode(c.text); !slices.Equal(got, c.plain) {
			t.Errorf("Encode(%q): got %v, want %v", c.text, got, c.plain)
		}
		if got := w.EncodeSpecial(c.text); !slices.Equal(got, c.parsed) {
			t.Errorf("EncodeSpecial(%q): got %v, want %v", c.text, got, c.parsed)
		}
	}
	if got := w.Decode([]int32{10, 2, 4, 5, 6, 8, 9, 7, 3, -1, 99}); got != "a dogs ' s." {
		t.Errorf("Decode: got %q", got)
	}
	text, err := w.JSON()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Read(text)
	if err != nil {
		t.Fatal(err)
	}
	back, ok := again.(*WordPiece)
	if !ok || !slices.Equal(back.tokens, w.tokens) || !slices.Equal(back.Added(), w.Added()) ||
		back.Options() != w.Options() {
		t.Errorf("read again: got %T with other tokens, added tokens or options", again)
	}
	if got := back.Encode("dogs"); !slices.Equal(got, []int32{5, 6}) {
		t.Errorf("read again: got %v", got)
	}
	if again, err = Read([]byte(strings.Replace(string(text), "BertPreTokenizer", "Whitespace", 1))); err == nil {
		t.Errorf("another pre-tokenizer: got %v, want an error", again)
	}
}

func TestWordPieceRefuses(t *testing.T) {
	for _, c := range []struct {
		name, vocab string
		added       []AddedToken
	}{
		{"nothing", "", nil},
		{"no [SEP]", "[UNK]\n[CLS]\n", nil},
		{"a token twice", small + "dog\n", nil},
		{"a hole before an added token", small, []AddedToken{{ID: 12, Content: "[DEC]"}}},
	} {
		if _, err := NewWordPiece([]byte(c.vocab), c.added, BERT()); err == nil {
			t.Errorf("%s: got no error", c.name)
		}
	}
}

func FuzzWordPiece(f *testing.F) {
	for _, c := range readWordPiece(f, "testdata/wordpiece.json").Encode {
		f.Add(c.Text)
	}
	f.Add("caf\xe9")
	w, err := NewWordPiece([]byte(small), nil, BERT())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, ids := range [][]int32{w.Encode(s), w.EncodeSpecial(s)} {
			if i := slices.IndexFunc(ids, func(id int32) bool { return id < 0 || int(id) >= w.VocabSize() }); i >= 0 {
				t.Errorf("got the id %d, want 0 to %d", ids[i], w.VocabSize()-1)
			}
			w.Decode(ids)
		}
	})
}

func TestBART(t *testing.T) {
	read := func(name string) []byte {
		b, err := os.ReadFile(shared(t, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	g := struct {
		Encode []struct {
			Text         string
			IDs, Special []int32
		}
	}{}
	b, err := os.ReadFile("testdata/bart.json")
	if err == nil {
		err = json.Unmarshal(b, &g)
	}
	if err != nil {
		t.Fatal(err)
	}
	added := []AddedToken{{ID: 50265, Content: "<loc_0>"}, {ID: 50266, Content: "<loc_1>"}, {ID: 50267, Content: "<od>",
		Special: true}}
	made, err := NewBART(read("bart/vocab.json"), read("gpt2/merges.txt"), added)
	if err != nil {
		t.Fatal(err)
	}
	text, err := made.JSON()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, again, made)
	if made.BOS() != 0 || made.EOS() != 2 || made.VocabSize() != 50268 {
		t.Errorf("got begin %d, end %d of %d, want 0, 2 of 50268", made.BOS(), made.EOS(), made.VocabSize())
	}
	for _, c := range g.Encode {
		if got := made.Encode(c.Text); !slices.Equal(got, c.IDs) {
			t.Errorf("Encode(%q): got %v, want %v", c.Text, got, c.IDs)
		}
		if got := made.EncodeSpecial(c.Text); !slices.Equal(got, c.Special) {
			t.Errorf("EncodeSpecial(%q): got %v, want %v", c.Text, got, c.Special)
		}
	}
}

func TestBERTUncasedIsThePublished(t *testing.T) {
	w := BERTUncased(AddedToken{Content: "[DEC]", Special: true}, AddedToken{Content: "[ENC]", Special: true})
	if id, ok := w.ID("[ENC]"); !ok || id != 30523 || w.VocabSize() != 30524 || w.EOS() != 102 {
		t.Errorf("got the id %d of [ENC], size %d, end %d, want 30523, 30524 and 102", id, w.VocabSize(), w.EOS())
	}
	sum := sha256.Sum256([]byte(strings.Join(w.tokens[:30522], "\n") + "\n"))
	const want = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"
	if got := hex.EncodeToString(sum[:]); got != want {
		t.Errorf("got SHA-256 %s of the vocabulary, want %s", got, want)
	}
}
