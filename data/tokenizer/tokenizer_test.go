package tokenizer

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func ExampleTokenizer_Encode() {
	t := GPT2()
	ids := t.Encode("Two dogs play.")
	fmt.Println(ids, t.Decode(ids))
	for _, id := range ids {
		token, _ := t.Token(id)
		fmt.Print(token, " ")
	}
	// Output:
	// [7571 6844 711 13] Two dogs play.
	// Two Ġdogs Ġplay .
}

func ExampleTokenizer_Trim() {
	t := GPT2().With(Options{Lowercase: true, PrefixSpace: true})
	captions := []string{"A dog runs.", "A dog sleeps.", "Two dogs run."}
	small, oldIDs, err := t.Trim(AtLeast(t.Count(slices.Values(captions)), 2))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(t.VocabSize(), "to", small.VocabSize(), "with", len(oldIDs), "rows to take along")
	fmt.Println(small.Decode(small.Encode("A dog never met before")))
	// Output:
	// 50257 to 261 with 261 rows to take along
	// a dog never met before
}

// TestGPT2IsThePublished rebuilds vocab.json from what is embedded and compares it with the published file by its hash.
func TestGPT2IsThePublished(t *testing.T) {
	var b bytes.Buffer
	b.WriteByte('{')
	for id, token := range GPT2().model.tokens {
		if id > 0 {
			b.WriteString(", ")
		}
		b.WriteByte('"')
		for _, r := range token {
			switch {
			case r == '"' || r == '\\':
				b.WriteByte('\\')
				b.WriteRune(r)
			case r < utf8.RuneSelf:
				b.WriteRune(r)
			default:
				fmt.Fprintf(&b, "\\u%04x", r)
			}
		}
		fmt.Fprintf(&b, "\": %d", id)
	}
	b.WriteByte('}')
	const want = "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783"
	sum := sha256.Sum256(b.Bytes())
	if got := hex.EncodeToString(sum[:]); got != want {
		t.Errorf("vocab.json: got SHA-256 %s, want %s", got, want)
	}
	vocab, merges, err := GPT2().Files()
	if err != nil {
		t.Fatal(err)
	}
	sum = sha256.Sum256(merges)
	const wantMerges = "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5"
	if got := hex.EncodeToString(sum[:]); got != wantMerges {
		t.Errorf("merges.txt: got SHA-256 %s, want %s", got, wantMerges)
	}
	again, err := New(vocab, merges)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, again, GPT2())
}

func equal(t *testing.T, got, want *Tokenizer) {
	t.Helper()
	same := slices.Equal(got.model.tokens, want.model.tokens) && slices.Equal(got.model.merges, want.model.merges)
	if !same || got.model.inside != want.model.inside {
		t.Error("got other tokens or merges than were written")
	}
	sameEnds := got.BOS() == want.BOS() && got.EOS() == want.EOS()
	if d := cmp.Diff(want.added.list, got.added.list); d != "" || got.opts != want.opts || !sameEnds {
		t.Errorf("options %v, want %v, end %d, want %d, added tokens differ:\n%s", got.opts, want.opts, got.eos, want.eos, d)
	}
}

func TestSpecialTokens(t *testing.T) {
	g := GPT2()
	if g.EOS() != 50256 || g.BOS() != 50256 || g.VocabSize() != 50257 || !g.IsSpecial(50256) || g.IsSpecial(50255) {
		t.Errorf("got end %d, begin %d, size %d", g.EOS(), g.BOS(), g.VocabSize())
	}
	if got := g.Encode("<|endoftext|>"); slices.Contains(got, g.EOS()) {
		t.Errorf("Encode made a special token of plain text: %v", got)
	}
	if got, want := g.EncodeSpecial("<|endoftext|>a<|endoftext|>"), []int32{50256, 64, 50256}; !slices.Equal(got, want) {
		t.Errorf("EncodeSpecial: got %v, want %v", got, want)
	}
	if got := g.Decode([]int32{50256, 64, 50256, -1, 99999}); got != "a" {
		t.Errorf("Decode: got %q, want the special and the absent left out", got)
	}
	if got := string(g.AppendBytes(nil, 50256)); got != EndOfText {
		t.Errorf("AppendBytes: got %q", got)
	}
	if id, ok := g.ID("Ġdog"); !ok || id != 3290 {
		t.Errorf("ID: got %d, %v", id, ok)
	}
	for _, id := range []int32{-1, 50257} {
		if token, ok := g.Token(id); ok {
			t.Errorf("Token(%d): got %q, want none", id, token)
		}
	}
}

func TestDecodeHalfLetter(t *testing.T) {
	g := GPT2()
	ids := g.Encode("🙂")
	if len(ids) < 2 {
		t.Fatalf("one token: %v", ids)
	}
	if got := g.Decode(ids[:1]); got != "\ufffd" {
		t.Errorf("half a letter: got %q, want U+FFFD", got)
	}
	var b []byte
	for _, id := range ids {
		b = g.AppendBytes(b, id)
	}
	if string(b) != "🙂" {
		t.Errorf("AppendBytes: got %q", b)
	}
}

// withAdded is GPT-2 with tokens of every kind added.
func withAdded(t testing.TB, o Options) *Tokenizer {
	t.Helper()
	tokens := append(slices.Clone(GPT2().model.tokens), "<pad>", "[DOG]", "zqx", "[L]", "[R]", "[DOG][DOG]", "漢 字")
	pairs := make([][2]string, len(GPT2().model.merges))
	for i, p := range GPT2().model.merges {
		pairs[i] = [2]string{tokens[p.left], tokens[p.right]}
	}
	m, err := newModel(tokens, 50257, pairs)
	if err != nil {
		t.Fatal(err)
	}
	tk, err := newTokenizer(m, []AddedToken{
		{Content: EndOfText, Special: true}, {Content: "<pad>", Special: true}, {Content: "[DOG]", Normalized: true},
		{Content: "zqx", SingleWord: true}, {Content: "[L]", LStrip: true}, {Content: "[R]", RStrip: true},
		{Content: "[DOG][DOG]"}, {Content: "漢 字"},
	}, gpt2Ends, o)
	if err != nil {
		t.Fatal(err)
	}
	return tk
}

func TestAddedTokens(t *testing.T) {
	tk := withAdded(t, Options{})
	lower := withAdded(t, captions)
	const pad, dog, word, l, r, dogs, han = 50257, 50258, 50259, 50260, 50261, 50262, 50263
	text := func(s string) []int32 { return tk.model.append(nil, s) }
	for _, c := range []struct {
		t    *Tokenizer
		text string
		want []int32
	}{
		{tk, "a[DOG]b", []int32{64, dog, 65}},
		{tk, "[DOG][DOG][DOG]", []int32{dogs, dog}},
		{tk, "a zqx, azqx zqx", slices.Concat([]int32{64, 220, word}, text(", azqx "), []int32{word})},
		{tk, "a  [L] b", []int32{64, l, 275}},
		{tk, "a [R]  b [R][L]  b", []int32{64, 220, r, 65, 220, r, l, 220, 275}},
		{tk, "漢 字", []int32{han}},
		{tk, "[dog]", text("[dog]")},
		{lower, "A[dog]B[DOG]", []int32{257, dog, 275, dog}},
		{lower, "[DOG][DOG]", []int32{dogs}},
		{lower, "<pad>", text(" <pad>")},
	} {
		got := c.t.Encode(c.text)
		if !slices.Equal(got, c.want) {
			t.Errorf("%q: got %v, want %v", c.text, got, c.want)
		}
	}
	if got := tk.EncodeSpecial("<pad><|endoftext|>x"); !slices.Equal(got, []int32{pad, 50256, 87}) {
		t.Errorf("EncodeSpecial: got %v", got)
	}
	if got := tk.Decode([]int32{64, pad, dog, han}); got != "a[DOG]漢 字" {
		t.Errorf("Decode: got %q", got)
	}
}

func TestLongTexts(t *testing.T) {
	for _, text := range []string{
		strings.Repeat("a", 1<<20), strings.Repeat("ab ", 1<<18), strings.Repeat(" ", 1<<20),
		strings.Repeat("\xff", 1<<18), strings.Repeat("🙂", 1<<17),
	} {
		want := strings.ToValidUTF8(strings.ReplaceAll(text, "\xff", "\ufffd"), "")
		if got := GPT2().Decode(GPT2().Encode(text)); got != want {
			t.Errorf("%.8q…: %d bytes came back as %d", text, len(text), len(got))
		}
	}
}

// TestHeapAgrees compares the two ways to merge on words of every length.
func TestHeapAgrees(t *testing.T) {
	m := GPT2().model
	for _, unit := range []string{"a", "lol", ".", "=-", "\u4e2d", "abcdefghi", "the"} {
		for n := 1; n <= scanLimit; n++ {
			var short []int32
			for _, b := range []byte(strings.Repeat(unit, n)[:n]) {
				short = append(short, m.byteID[b])
			}
			long := slices.Clone(short)
			short = short[:m.mergeShort(short, nil)]
			long = long[:m.mergeLong(long, nil)]
			if !slices.Equal(short, long) {
				t.Errorf("%d bytes of %q: short %v, long %v", n, unit, short, long)
			}
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	tk := GPT2().With(captions)
	want := tk.Encode("A concurrent caption of 12 dogs")
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for n := range 200 {
				tk.Encode(fmt.Sprint("word", i*n))
				if got := tk.Encode("A concurrent caption of 12 dogs"); !slices.Equal(got, want) {
					t.Errorf("got %v, want %v", got, want)
				}
			}
		})
	}
	group.Wait()
}

func TestCacheIsBounded(t *testing.T) {
	trimmed, _, err := GPT2().Trim(nil)
	if err != nil {
		t.Fatal(err)
	}
	for n := range cacheWords + 100 {
		trimmed.Encode(fmt.Sprint(n))
	}
	if n := len(trimmed.model.cache); n > cacheWords {
		t.Errorf("got %d words in the cache, want %d at most", n, cacheWords)
	}
}

func TestTrimKeepsTexts(t *testing.T) {
	full := GPT2()
	text := "A man is riding a surfboard on the waves; his dogs' friend isn't."
	trimmed, old, err := full.Trim(full.Encode(text))
	if err != nil {
		t.Fatal(err)
	}
	ends := old[len(old)-1] == full.EOS() && trimmed.EOS() == int32(len(old)-1)
	if !slices.IsSorted(old) || !ends || trimmed.VocabSize() != len(old) {
		t.Errorf("got %d old ids ending in %d, end %d of %d", len(old), old[len(old)-1], trimmed.EOS(), trimmed.VocabSize())
	}
	for id, was := range old {
		got, _ := trimmed.Token(int32(id))
		if want, _ := full.Token(was); got != want {
			t.Fatalf("id %d, which was %d: got %q, want %q", id, was, got, want)
		}
	}
	var back []int32
	for _, id := range trimmed.Encode(text) {
		back = append(back, old[id])
	}
	if want := full.Encode(text); !slices.Equal(back, want) {
		t.Errorf("got %v, want %v as before", back, want)
	}
	other := "Völlig andere Wörter 漢字 \x00\x7f<|endoftext|>"
	if got := trimmed.Decode(trimmed.Encode(other)); got != other {
		t.Errorf("got %q, want %q", got, other)
	}
	for _, id := range []int32{-1, 50257} {
		if _, _, err := full.Trim([]int32{id}); err == nil {
			t.Errorf("Trim with id %d: got no error", id)
		}
	}
}

// TestTrimReachesEveryToken trims to each of many single tokens, the longest among them, and asks for it.
func TestTrimReachesEveryToken(t *testing.T) {
	full := GPT2()
	ids := []int32{}
	for id, token := range full.model.tokens[:full.EOS()] {
		if len(token) > scanLimit || id%997 == 0 {
			ids = append(ids, int32(id))
		}
	}
	for _, id := range ids {
		trimmed, old, err := full.Trim([]int32{id})
		if err != nil {
			t.Fatal(err)
		}
		got := trimmed.model.appendWord(nil, string(full.AppendBytes(nil, id)))
		if len(got) != 1 || old[got[0]] != id {
			t.Errorf("token %d: got %v, want it alone", id, got)
		}
	}
}

func TestParseOwnJSON(t *testing.T) {
	trimmed, _, err := GPT2().With(captions).Trim(GPT2().Encode(" a dog with a <b> & \"c\" \\"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tk := range []*Tokenizer{GPT2(), trimmed, withAdded(t, Options{PrefixSpace: true})} {
		b, err := tk.JSON()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, again, tk)
		if twice, err := again.JSON(); err != nil || !bytes.Equal(b, twice) {
			t.Errorf("written twice: %d bytes, then %d (%v)", len(b), len(twice), err)
		}
	}
}

func TestParseErrors(t *testing.T) {
	good, err := os.ReadFile("testdata/trimmed.json")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Parse(good); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, new, want string }{
		{`{`, ``, "tokenizer.json: "},
		{`"type":"BPE"`, `"type":"WordPiece"`, `not supported: model "WordPiece", want BPE`},
		{`"type":"Lowercase"`, `"type":"NFKC"`, `normalizer "NFKC"`},
		{`"pre_tokenizer":{"type":"ByteLevel"`, `"pre_tokenizer":{"type":"Whitespace"`, "pre_tokenizer"},
		{`"decoder":{"type":"ByteLevel"`, `"decoder":{"type":"WordPiece"`, `decoder "WordPiece"`},
		{`"dropout":null`, `"dropout":0.1`, "dropout 0.1"},
		{`"byte_fallback":false`, `"byte_fallback":true`, "byte_fallback"},
		{`"end_of_word_suffix":null`, `"end_of_word_suffix":"</w>"`, `end_of_word_suffix "</w>"`},
		{`"!":0`, `"!":1`, "have the same id 1"},
		{`"!":0`, `"!":-1`, "has the id -1, want 0 to 1038"},
		{`"!":0`, `"!":9999999`, "has the id 9999999, want 0 to 1038"},
		{`"!":0`, `"!":0.5`, `has the id "0.5", want a whole number`},
		{`"!":0`, `"!!!":0`, `no token "!" for the byte 0x21`},
		{`"<|endoftext|>":`, `"<|end|>":`, "have the same id"},
		{`["Ġ","t"]`, `["Ġ","tttt"]`, `merge 0, "Ġ" and "tttt"`},
		{`["Ġ","t"]`, `["Ġ"]`, "merge 0: found an array, want one of two tokens"},
		{`["Ġ","t"]`, `"Ġt"`, `merge 0: found "Ġt", want two tokens with a space between`},
		{`["Ġ","t"]`, `null`, "merge 0: found"},
		{`"vocab":{`, `"vocab":[],"x":{`, "vocabulary"},
		{`"merges":[`, `"merges":{},"x":[`, "merges"},
		{`"content":"<|endoftext|>"`, `"content":""`, "have the same id"},
	} {
		bad := bytes.Replace(good, []byte(c.old), []byte(c.new), 1)
		if bytes.Equal(bad, good) {
			t.Fatalf("the file has no %s", c.old)
		}
		_, err := Parse(bad)
		var format FormatError
		var unsupported UnsupportedError
		if !errors.As(err, &format) && !errors.As(err, &unsupported) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s for %s: got %v, want %q", c.new, c.old, err, c.want)
		}
	}
	for _, c := range []struct{ vocab, merges, want string }{
		{`[]`, "", "vocab.json"},
		{`{`, "", "vocab.json"},
		{`{"a": 0}`, "#version: 0.2\na b c\n", `merges.txt, line 2: found "a b c"`},
		{`{"a": 0}`, "a\n", `merges.txt, line 1: found "a"`},
	} {
		_, err := New([]byte(c.vocab), []byte(c.merges))
		var format FormatError
		if !errors.As(err, &format) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("New(%q, %q): got %v, want %q", c.vocab, c.merges, err, c.want)
		}
	}
}
