package captioner

import (
	"unicode"

	"captioner/data/tokenizer"
)

// inside says which tokens go on with the word before them: those that begin with a letter or a digit, and no space.
func inside(t *tokenizer.Tokenizer) func(int32) bool {
	var buf [64]byte
	return func(id int32) bool {
		b := t.AppendBytes(buf[:0], id)
		return len(b) > 0 && (b[0] >= 0x80 || unicode.IsLetter(rune(b[0])) || unicode.IsDigit(rune(b[0])))
	}
}
