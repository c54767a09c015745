package ptb

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Lower is Java's String.toLowerCase in English. It differs from strings.ToLower at the capital dotted i, and at a
// capital sigma, which becomes the final form where Java's own word breaker sees the end of a word.
func Lower(s string) string {
	if !strings.ContainsAny(s, "İΣ") {
		return strings.ToLower(s)
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == 'İ':
			b.WriteString("i\u0307")
		case r == 'Σ' && finalSigma(s[:i], s[i+len("Σ"):]):
			b.WriteRune('ς')
		default:
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return b.String()
}

// finalSigma reports whether a letter with case comes before in the same word, and none after.
func finalSigma(before, after string) bool {
	found := false
	for prev := 'Σ'; before != ""; {
		r, n := utf8.DecodeLastRuneInString(before)
		before = before[:len(before)-n]
		next, _ := utf8.DecodeLastRuneInString(before)
		if !sameWord(next, r, prev) {
			break
		}
		found = found || cased(r)
		prev = r
	}
	for prev := 'Σ'; found && after != ""; {
		r, n := utf8.DecodeRuneInString(after)
		after = after[n:]
		next, _ := utf8.DecodeRuneInString(after)
		if !sameWord(prev, r, next) {
			break
		}
		if cased(r) {
			return false
		}
		prev = r
	}
	return found
}

// sameWord reports whether r belongs to the word of its neighbours: letters and digits do, dashes, apostrophes,
// quotation marks and full stops between two letters, or some of them between two digits.
func sameWord(left, r, right rune) bool {
	switch {
	case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana):
		return false
	case unicode.In(r, unicode.L, unicode.Nd, unicode.Nl, unicode.Mn, unicode.Me, unicode.Cf) && r != '\u00ad':
		return true
	case unicode.In(r, unicode.Pd, unicode.Pc) || strings.ContainsRune("\u00ad\u2027\"'.", r):
		if unicode.IsLetter(left) && unicode.IsLetter(right) {
			return true
		}
	}
	return strings.ContainsRune("\"',.\u066b", r) && unicode.IsDigit(left) && unicode.IsDigit(right)
}

// cased is Java's list, a little shorter than Unicode's.
func cased(r rune) bool {
	switch {
	case 0x2b0 <= r && r <= 0x2b8, r == 0x2c0, r == 0x2c1, 0x2e0 <= r && r <= 0x2e4, r == 0x345, r == 0x37a,
		0x1d2c <= r && r <= 0x1d61, 0x2160 <= r && r <= 0x217f, 0x24b6 <= r && r <= 0x24e9:
		return true
	}
	return unicode.IsUpper(r) || unicode.IsLower(r) || unicode.IsTitle(r)
}
