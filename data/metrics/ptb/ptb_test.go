package ptb

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestTokenize(t *testing.T) {
	for _, tt := range []struct {
		caption string
		want    []string
	}{
		{"", nil},
		{
			"A man can't ride 2 1/2 bikes, don't you think?",
			[]string{"a", "man", "ca", "n't", "ride", "2\u00a01/2", "bikes", "do", "n't", "you", "think"},
		},
		{"I cannot say (it's big).", []string{"i", "can", "not", "say", "-lrb-", "it", "'s", "big", "-rrb-"}},
		{"a dog\r\nand a cat", []string{"a", "dog"}},
		{"a dog\nand a cat", []string{"a", "dog", "and", "a", "cat"}},
		{"made in the U.S. The end 🙂 ...", []string{"made", "in", "the", "u.s.", "the", "end"}},
		{"a \xff cat", []string{"a", "cat"}},
	} {
		if got := Tokenize(tt.caption); !slices.Equal(got, tt.want) {
			t.Errorf("Tokenize(%q): got %q, want %q", tt.caption, got, tt.want)
		}
	}
}

// golden is testdata/ptb.json, written by scripts/fixtures/metrics.py: captions, and the tokens that the jar makes of
// them, one call a caption.
type golden struct {
	Cases    [][2]string
	Together []string
}

func readGolden(t *testing.T, into *golden) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "ptb.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}

func TestTokenizeEqualsJar(t *testing.T) {
	var f golden
	readGolden(t, &f)
	if len(f.Cases) < 1000 {
		t.Fatalf("cases: got %d, want 1000 or more", len(f.Cases))
	}
	for _, c := range f.Cases {
		if got := strings.Join(Tokenize(c[0]), " "); got != c[1] {
			t.Errorf("Tokenize(%q): got %q, want %q", c[0], got, c[1])
		}
	}
	// The first cases again, in one call and without the line ends that would shift them.
	first := make([]string, len(f.Together))
	for i := range first {
		first[i] = strings.NewReplacer("\r", " ", "\u2028", " ").Replace(f.Cases[i][0])
	}
	for i, got := range TokenizeTogether(first) {
		if got := strings.Join(got, " "); got != f.Together[i] {
			t.Errorf("TokenizeTogether, caption %d %q: got %q, want %q", i, first[i], got, f.Together[i])
		}
	}
}

func TestTokenizeTogether(t *testing.T) {
	got := TokenizeTogether([]string{"by Lane S.", "A dog\r\nruns", "a cat"})
	want := [][]string{{"by", "lane", "s"}, {"a", "dog"}, {"runs"}}
	for i := range want {
		if !slices.Equal(got[i], want[i]) {
			t.Errorf("caption %d: got %q, want %q", i, got[i], want[i])
		}
	}
	if got := Tokenize("by Lane S."); !slices.Equal(got, []string{"by", "lane", "s."}) {
		t.Errorf("alone: got %q, want the full stop kept", got)
	}
}

func TestTokenizeConcurrently(t *testing.T) {
	var f golden
	readGolden(t, &f)
	lex, err := newLexer(allRules()) // a new one, so that its states are built by all goroutines
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range f.Cases {
				text := AppendUTF16(nil, f.Cases[(i+g*300)%len(f.Cases)][0])
				shared, _ := rules()
				r1, n1 := lex.match(text)
				if r2, n2 := shared.match(text); r1 != r2 || n1 != n2 {
					t.Errorf("match: got rule %d length %d, want %d and %d", r1, n1, r2, n2)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestLowerFinalSigma(t *testing.T) {
	for in, want := range map[string]string{"ΑΣ": "ας", "ΣΑΣ": "σας", "Σ": "σ", "mΣ1x": "mσ1x", "A3Σ": "a3ς",
		"İX": "i̇x", "anti-Σ": "anti-ς"} {
		if got := Lower(in); got != want {
			t.Errorf("Lower(%q): got %q, want %q", in, got, want)
		}
	}
}

func FuzzTokenize(f *testing.F) {
	for _, s := range []string{"", "A man can't", "http://x\u00a0", "<a href='b'>", "U.S. The", "a\r\nb", "\xff\xfe",
		"(-_-) ^_^ =.[^x=<>]", "&amp;&AMP;&", "fi\u00adsh"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 1<<12 {
			return // a run without blanks is read again from each of its words
		}
		tokens := Tokenize(s)
		size := 0
		for _, w := range tokens {
			size += len(w)
			if w == "" || punctuation(w) || strings.ContainsAny(w, " \n") || !utf8.ValidString(w) {
				t.Errorf("Tokenize(%q): token %q", s, w)
			}
			if strings.ContainsFunc(w, func(r rune) bool { return r < 0x80 && unicode.IsUpper(r) }) {
				t.Errorf("Tokenize(%q): token %q is not lower case", s, w)
			}
		}
		// A bracket of one byte becomes a name of five.
		if size > 8*len(s) {
			t.Errorf("Tokenize(%q): %d bytes of tokens from %d", s, size, len(s))
		}
		// An earlier line end hides what follows it.
		if i := strings.IndexAny(s, "\r\f\v"); i < 0 && !strings.ContainsAny(s, "\u2028\u2029\u0085") {
			if got := TokenizeTogether([]string{s}); !slices.Equal(got[0], tokens) {
				t.Errorf("one caption in one call: got %q, want %q", got[0], tokens)
			}
		}
	})
}
