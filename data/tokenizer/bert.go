package tokenizer

import (
	"strings"
	"unicode"

	"github.com/sugarme/tokenizer/normalizer"
	"golang.org/x/text/unicode/norm"
)

// bertWords cuts a text into the words that WordPiece takes, as transformers' BasicTokenizer does: control characters
// are dropped, CJK ideographs stand alone, letters are composed, words end at white space; then, with lower, each word
// is lowered and loses its accents; every punctuation mark stands alone.
//
// Which characters are punctuation is sugarme's knowledge. Its normalizer is not used: it takes only ASCII's white
// space for white space, keeps private and unassigned characters, composes nothing, and misses the ideographs below
// U+4E00, whose range stands out of order in its table.
func bertWords(text string, lower bool, yield func(word string)) {
	for word := range strings.FieldsFuncSeq(norm.NFC.String(bertClean(text)), bertSpace) {
		if lower {
			word = withoutAccents(lowercase(word))
		}
		splitPunctuation(word, yield)
	}
}

// bertClean drops control characters and U+FFFD, and puts spaces around CJK ideographs.
func bertClean(text string) string {
	var b strings.Builder
	b.Grow(len(text))
	for _, r := range text {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			b.WriteByte(' ')
		case r == '\ufffd' || bertControl(r):
		case unicode.Is(ideographs, r):
			b.WriteByte(' ')
			b.WriteRune(r)
			b.WriteByte(' ')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// ideographs are the characters that BERT takes for words of their own: CJK's, but no syllables of Japanese and Korean.
var ideographs = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x3400, Hi: 0x4dbf, Stride: 1},
		{Lo: 0x4e00, Hi: 0x9fff, Stride: 1},
		{Lo: 0xf900, Hi: 0xfaff, Stride: 1},
	},
	R32: []unicode.Range32{
		{Lo: 0x20000, Hi: 0x2a6df, Stride: 1},
		{Lo: 0x2a700, Hi: 0x2b73f, Stride: 1},
		{Lo: 0x2b740, Hi: 0x2b81f, Stride: 1},
		{Lo: 0x2b820, Hi: 0x2ceaf, Stride: 1},
		{Lo: 0x2f800, Hi: 0x2fa1f, Stride: 1},
	},
}

// bertControl is Unicode's category C: control, format, private and unassigned characters.
func bertControl(r rune) bool {
	if r < 0x7f {
		return r < ' '
	}
	return !unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S, unicode.Z)
}

// bertSpace is where words end: category Z. The white space among control characters is a space or gone by then.
func bertSpace(r rune) bool { return r == ' ' || r > 0x7f && unicode.Is(unicode.Z, r) }

// withoutAccents decomposes letters and drops their marks.
func withoutAccents(word string) string {
	if plain(word) {
		return word
	}
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, norm.NFD.String(word))
}

// splitPunctuation yields the runs between punctuation marks, and each mark by itself.
func splitPunctuation(word string, yield func(string)) {
	start := 0
	for at, r := range word {
		if !normalizer.IsBertPunctuation(r) {
			continue
		}
		if start < at {
			yield(word[start:at])
		}
		start = at + len(string(r))
		yield(word[at:start])
	}
	if start < len(word) {
		yield(word[start:])
	}
}
