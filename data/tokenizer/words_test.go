package tokenizer

import (
	"slices"
	"strings"
	"testing"
)

func TestWords(t *testing.T) {
	w, err := NewWords([]string{"UNK", "PAD", "BOS", "EOS", "A", "dog", ".", "(", "red", ")", "'s", "n't", ","})
	if err != nil {
		t.Fatal(err)
	}
	if w.BOS() != 2 || w.EOS() != 3 || w.VocabSize() != 13 {
		t.Errorf("got begin %d, end %d of %d, want 2, 3 of 13", w.BOS(), w.EOS(), w.VocabSize())
	}
	for want, ids := range map[string][]int32{
		"A dog.":               {4, 5, 6},
		"A (red) dog's":        {4, 7, 8, 9, 5, 10},
		"dog n't, UNK PAD UNK": {5, 11, 12, 0, 1, 99},
	} {
		if got := w.Decode(ids); got != want {
			t.Errorf("got %q of %v, want %q", got, ids, want)
		}
	}
	if got, want := w.Encode("A red cat."), []int32{4, 8, 0, 6}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	text, err := w.JSON()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if equal(t, again, w); !again.Words() || again.BOS() != 2 {
		t.Errorf("read again: words %v, begin %d, want words that begin with 2", again.Words(), again.BOS())
	}
	for _, change := range [][2]string{
		{`"Punctuation"`, `"Digits"`},
		{`"normalizer":null`, `"normalizer":{"type":"Lowercase"}`},
		{`"EOS":3`, `"EOS":4`},
		{`"BOS":2`, `"B":2`},
	} {
		bad := strings.Replace(string(text), change[0], change[1], 1)
		if _, err := Parse([]byte(bad)); err == nil || bad == string(text) {
			t.Errorf("with %s: got no error", change[1])
		}
	}
	if _, _, err := w.Files(); err == nil {
		t.Error("got merges.txt of whole words, want an error")
	}
	for _, bad := range [][]string{{"UNK", "BOS"}, {"UNK", "BOS", "EOS", "BOS"}} {
		if _, err := NewWords(bad); err == nil {
			t.Errorf("%q: got no error", bad)
		}
	}
}
