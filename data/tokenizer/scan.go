package tokenizer

import (
	"unicode"
	"unicode/utf8"
)

type class uint8

const (
	other class = iota
	letter
	number
	space
)

func classOf(r rune) class {
	switch {
	case r < utf8.RuneSelf:
		return asciiClass[r]
	case unicode.IsLetter(r):
		return letter
	case unicode.IsNumber(r):
		return number
	case unicode.IsSpace(r):
		return space
	}
	return other
}

var asciiClass = func() (t [utf8.RuneSelf]class) {
	for r := range t {
		switch r := rune(r); {
		case unicode.IsLetter(r):
			t[r] = letter
		case unicode.IsNumber(r):
			t[r] = number
		case unicode.IsSpace(r):
			t[r] = space
		}
	}
	return t
}()

// nextWord returns the length in bytes of the first word of a text that is not empty. It matches what GPT-2's pattern
//
//	's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//
// does: a contraction, or a run of letters, of numbers or of other signs with at most one space before it, or white
// space, which leaves its last rune to the word that follows.
func nextWord(s string) int {
	if n := contraction(s); n > 0 {
		return n
	}
	first, size := decode(s)
	if first == ' ' && len(s) > 1 {
		r, _ := decode(s[1:])
		if c := classOf(r); c != space {
			return 1 + run(s[1:], c)
		}
	}
	c := classOf(first)
	n := size + run(s[size:], c)
	if c != space || n == len(s) {
		return n
	}
	if _, last := utf8.DecodeLastRuneInString(s[:n]); last < n {
		return n - last
	}
	return n
}

// run returns the length of the runes of one class that s begins with.
func run(s string, c class) int {
	n := 0
	for n < len(s) {
		r, size := decode(s[n:])
		if classOf(r) != c {
			break
		}
		n += size
	}
	return n
}

func decode(s string) (rune, int) {
	if s[0] < utf8.RuneSelf {
		return rune(s[0]), 1
	}
	return utf8.DecodeRuneInString(s)
}

func contraction(s string) int {
	if len(s) < 2 || s[0] != '\'' {
		return 0
	}
	switch s[1] {
	case 's', 't', 'm', 'd':
		return 2
	}
	if len(s) > 2 {
		switch s[1:3] {
		case "re", "ve", "ll":
			return 3
		}
	}
	return 0
}
