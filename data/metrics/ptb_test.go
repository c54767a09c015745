package metrics

import (
	"slices"
	"testing"
)

func TestTokenize(t *testing.T) {
	for _, tt := range []struct {
		caption string
		want    []string
	}{
		{"", nil},
		{"A man can't ride 2 1/2 bikes, don't you think?", []string{"a", "man", "ca", "n't", "ride", "2\u00a01/2", "bikes", "do", "n't", "you", "think"}},
		{"I cannot say (it's big).", []string{"i", "can", "not", "say", "-lrb-", "it", "'s", "big", "-rrb-"}},
		{"a dog\r\nand a cat", []string{"a", "dog"}},
		{"a dog\nand a cat", []string{"a", "dog", "and", "a", "cat"}},
		{"made in the U.S. The end 🙂 ...", []string{"made", "in", "the", "u.s.", "the", "end"}},
	} {
		if got := Tokenize(tt.caption); !slices.Equal(got, tt.want) {
			t.Errorf("Tokenize(%q): got %q, want %q", tt.caption, got, tt.want)
		}
	}
}
