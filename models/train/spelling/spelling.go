// Package spelling makes captions what a decoder learns: normalized, and spelled as rows of tokens. It also makes the
// vocabulary of a new captioner from them. It is plain Go.
package spelling

import (
	"fmt"
	"iter"
	"strings"

	"captioner/data/tokenizer"
)

// Normalize is what captions go through before they are learnt: one space between words, and none before a final mark,
// which is dropped.
func Normalize(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	return strings.TrimRight(s, " .")
}

// Sided says whether a caption speaks of left or right, which a mirrored image would make wrong.
func Sided(captions []string) bool {
	for _, c := range captions {
		for _, w := range strings.FieldsFunc(strings.ToLower(c), func(r rune) bool { return r < 'a' || r > 'z' }) {
			if w == "left" || w == "right" {
				return true
			}
		}
	}
	return false
}

// Rows spells captions.
type Rows struct {
	Tokens     tokenizer.Codec
	Begin, End int32
	Prompt     []int32 // behind Begin in every row; no part of the caption
	Longest    int     // tokens of a caption, with its end
}

// Row is a caption as a row to learn: begin, prompt, at most Longest-1 tokens, end. Length is how many tokens the whole
// caption has with its end.
func (r Rows) Row(caption string) (row []int32, length int) {
	row = append(append([]int32{r.Begin}, r.Prompt...), r.Tokens.Encode(caption)...)
	if length = len(row) - len(r.Prompt); length > r.Longest {
		row = row[:len(r.Prompt)+r.Longest]
	}
	return append(row, r.End), length
}

// Vocabulary makes a small tokenizer for lines of text: lower case, GPT-2's tokens that they use at least minCount
// times. Where base is not nil, it has base's tokens too, and treats text as base does.
func Vocabulary(lines iter.Seq[string], minCount int64, base *tokenizer.Tokenizer) (*tokenizer.Tokenizer, error) {
	whole := tokenizer.GPT2().With(tokenizer.Options{Lowercase: true, PrefixSpace: true})
	var keep []int32
	if base != nil {
		whole = whole.With(base.Options())
		for id, ids := range tokenizer.Spelled(base, whole) {
			if len(ids) != 1 {
				token, _ := base.Token(int32(id))
				return nil, fmt.Errorf("tokenizer: found the token %q, want those of GPT-2 alone", token)
			}
			keep = append(keep, ids[0])
		}
	}
	small, _, err := whole.Trim(append(keep, tokenizer.AtLeast(whole.Count(lines), minCount)...))
	return small, err
}
