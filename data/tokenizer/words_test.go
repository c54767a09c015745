package tokenizer

import (
	"slices"
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
	if _, err := w.JSON(); err == nil {
		t.Error("got a tokenizer.json of whole words, want an error")
	}
	for _, bad := range [][]string{{"UNK", "BOS"}, {"UNK", "BOS", "EOS", "BOS"}} {
		if _, err := NewWords(bad); err == nil {
			t.Errorf("%q: got no error", bad)
		}
	}
}
