package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// A vocabulary spells each byte as one printable letter: printable Latin-1 as itself, the other 68 bytes in their order
// as U+0100 and on. A space is "Ġ".
var byteToken, runeByte = alphabet()

func alphabet() (tokens [256]string, bytes [256 + 68]int16 /* or -1 */) {
	for i := range bytes {
		bytes[i] = -1
	}
	hidden := rune(256)
	for b := range 256 {
		r := rune(b)
		if printable := b >= '!' && b <= '~' || b >= 0xa1 && b <= 0xac || b >= 0xae; !printable {
			r = hidden
			hidden++
		}
		tokens[b] = string(r)
		bytes[r] = int16(b)
	}
	return tokens, bytes
}

// bytesInOrder returns the spellings of the 256 bytes in the order of their ids: by the letter, not by the byte.
func bytesInOrder() []string {
	tokens := make([]string, 0, 256)
	for r := range runeByte {
		if runeByte[r] >= 0 {
			tokens = append(tokens, string(rune(r)))
		}
	}
	return tokens
}

// appendBytes adds the bytes that a token's letters spell. A letter outside the alphabet stands for itself.
func appendBytes(dst []byte, token string) []byte {
	for _, r := range token {
		if int(r) < len(runeByte) && runeByte[r] >= 0 {
			dst = append(dst, byte(runeByte[r]))
		} else {
			dst = utf8.AppendRune(dst, r)
		}
	}
	return dst
}

// spell is the way back: text as a vocabulary spells it.
func spell(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteString(byteToken[s[i]])
	}
	return b.String()
}

// validUTF8 puts one U+FFFD in the place of each maximal part of s that is not UTF-8 (Unicode 3.9, U+FFFD substitution
// of maximal subparts), which is what the reference implementations see. strings.ToValidUTF8 makes one of a whole run.
func validUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 8)
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			n = brokenPrefix(s[i:])
			b.WriteRune(utf8.RuneError)
		} else {
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

// brokenPrefix returns how many bytes at the start of s, which is not UTF-8, are the beginning of some letter: 1 or
// more.
func brokenPrefix(s string) int {
	lo, hi, want := byte(0x80), byte(0xbf), 0
	switch b := s[0]; {
	case b >= 0xc2 && b <= 0xdf:
		want = 1
	case b >= 0xe0 && b <= 0xef:
		want = 2
	case b >= 0xf0 && b <= 0xf4:
		want = 3
	}
	switch s[0] {
	case 0xe0:
		lo = 0xa0 // no overlong forms
	case 0xed:
		hi = 0x9f // no surrogates
	case 0xf0:
		lo = 0x90
	case 0xf4:
		hi = 0x8f // nothing above U+10FFFF
	}
	n := 1
	for n <= want && n < len(s) && s[n] >= lo && s[n] <= hi {
		n++
		lo, hi = 0x80, 0xbf
	}
	return n
}
