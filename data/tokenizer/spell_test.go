package tokenizer

import (
	"slices"
	"testing"
)

// Every token is spelled by the other tokenizer to the same bytes: by itself where it is there.
func TestSpelled(t *testing.T) {
	whole := GPT2().With(captions)
	trim := func(text string) *Tokenizer {
		small, _, err := whole.Trim(whole.Encode(text))
		if err != nil {
			t.Fatal(err)
		}
		return small
	}
	old, grown := trim("a dog"), trim("a dog and a zebra")
	spelled := Spelled(grown, old)
	if len(spelled) != grown.VocabSize() {
		t.Fatalf("got %d tokens, want %d", len(spelled), grown.VocabSize())
	}
	apart := 0
	for id, ids := range spelled {
		token := string(grown.AppendBytes(nil, int32(id)))
		var parts []byte
		for _, p := range ids {
			parts = old.AppendBytes(parts, p)
		}
		if string(parts) != token {
			t.Errorf("token %q is spelled %q", token, parts)
		}
		if len(ids) > 1 {
			apart++
		}
	}
	if want := grown.VocabSize() - old.VocabSize(); apart != want {
		t.Errorf("got %d tokens in pieces, want %d", apart, want)
	}
	if ids := spelled[grown.EOS()]; !slices.Equal(ids, []int32{old.EOS()}) {
		t.Errorf("the end is spelled %v, want %d", ids, old.EOS())
	}
}
