package metrics

import (
	"slices"
	"strings"
)

// stem is the Snowball stemmer for English (Porter 2) in the edition that METEOR 1.5 ships.
// See http://snowball.tartarus.org/algorithms/english/stemmer.html.
func stem(word string) string {
	if s, ok := stemExceptions[word]; ok {
		return s
	}
	w := []rune(word)
	if len(w) < 3 {
		return word
	}
	if w[0] == '\'' {
		w = w[1:]
	}
	// Y is a y that stands for a consonant.
	for i, c := range w {
		if c == 'y' && (i == 0 || vowel(w[i-1])) {
			w[i] = 'Y'
		}
	}
	s := stemmer{w: w}
	s.regions()
	s.step0()
	s.step1a()
	if !slices.Contains(stemFinal, string(s.w)) {
		s.step1b()
		s.step1c()
		s.step2()
		s.step3()
		s.step4()
		s.step5()
	}
	return strings.ReplaceAll(string(s.w), "Y", "y")
}

var (
	stemExceptions = map[string]string{
		"skis": "ski", "skies": "sky", "dying": "die", "lying": "lie", "tying": "tie",
		"idly": "idl", "gently": "gentl", "ugly": "ugli", "early": "earli", "only": "onli", "singly": "singl",
		"sky": "sky", "news": "news", "howe": "howe", "atlas": "atlas", "cosmos": "cosmos", "bias": "bias", "andes": "andes",
	}
	stemFinal = []string{"inning", "outing", "canning", "herring", "earring", "proceed", "exceed", "succeed"}
)

// A stemmer holds a word and where its regions start: r1 after the first consonant that follows a vowel, r2 after the
// next such consonant.
type stemmer struct {
	w      []rune
	r1, r2 int
}

func vowel(c rune) bool { return strings.ContainsRune("aeiouy", c) }

func (s *stemmer) regions() {
	s.r1 = s.after(0)
	for _, prefix := range []string{"gener", "commun", "arsen"} {
		if strings.HasPrefix(string(s.w), prefix) {
			s.r1 = len(prefix)
		}
	}
	s.r2 = s.after(s.r1)
}

// after returns the place behind the first consonant that follows a vowel at or behind from.
func (s *stemmer) after(from int) int {
	for i := from + 1; i < len(s.w); i++ {
		if vowel(s.w[i-1]) && !vowel(s.w[i]) {
			return i + 1
		}
	}
	return len(s.w)
}

func (s *stemmer) ends(suffix string) bool {
	n := len(s.w) - len(suffix)
	return n >= 0 && string(s.w[n:]) == suffix
}

// longest returns the longest of the suffixes that the word ends with, or "". They are ASCII.
func (s *stemmer) longest(suffixes ...string) string {
	best := ""
	for _, x := range suffixes {
		if len(x) > len(best) && s.ends(x) {
			best = x
		}
	}
	return best
}

// replace writes by in the place of the suffix.
func (s *stemmer) replace(suffix, by string) {
	s.w = append(s.w[:len(s.w)-len(suffix)], []rune(by)...)
}

// hasVowel reports whether there is a vowel in the first n characters.
func (s *stemmer) hasVowel(n int) bool { return n > 0 && slices.ContainsFunc(s.w[:n], vowel) }

// shortSyllable reports whether the first n characters end in one: consonant, vowel, consonant other than w, x and Y,
// or a vowel and a consonant that are all of them.
func (s *stemmer) shortSyllable(n int) bool {
	w := s.w[:n]
	if n >= 3 && !vowel(w[n-3]) && vowel(w[n-2]) && !vowel(w[n-1]) && !strings.ContainsRune("wxY", w[n-1]) {
		return true
	}
	return n == 2 && vowel(w[0]) && !vowel(w[1])
}

func (s *stemmer) step0() {
	s.replace(s.longest("'", "'s", "'s'"), "")
}

func (s *stemmer) step1a() {
	switch x := s.longest("sses", "ied", "ies", "us", "ss", "s"); x {
	case "sses":
		s.replace(x, "ss")
	case "ied", "ies":
		if len(s.w) > 4 {
			s.replace(x, "i")
		} else {
			s.replace(x, "ie")
		}
	case "s":
		if s.hasVowel(len(s.w) - 2) {
			s.replace(x, "")
		}
	}
}

func (s *stemmer) step1b() {
	x := s.longest("eed", "eedly", "ed", "edly", "ing", "ingly")
	switch x {
	case "":
		return
	case "eed", "eedly":
		if len(s.w)-len(x) >= s.r1 {
			s.replace(x, "ee")
		}
		return
	}
	if !s.hasVowel(len(s.w) - len(x)) {
		return
	}
	s.replace(x, "")
	switch y := s.longest("at", "bl", "iz", "bb", "dd", "ff", "gg", "mm", "nn", "pp", "rr", "tt"); {
	case y == "at" || y == "bl" || y == "iz":
		s.w = append(s.w, 'e')
	case y != "":
		s.w = s.w[:len(s.w)-1]
	case len(s.w) == s.r1 && s.shortSyllable(len(s.w)):
		s.w = append(s.w, 'e')
	}
}

func (s *stemmer) step1c() {
	n := len(s.w)
	if n > 2 && (s.w[n-1] == 'y' || s.w[n-1] == 'Y') && !vowel(s.w[n-2]) {
		s.w[n-1] = 'i'
	}
}

// A change is a suffix with what replaces it.
type change struct{ suffix, by string }

var (
	changes2 = []change{{"tional", "tion"}, {"enci", "ence"}, {"anci", "ance"}, {"abli", "able"}, {"entli", "ent"},
		{"izer", "ize"}, {"ization", "ize"}, {"ational", "ate"}, {"ation", "ate"}, {"ator", "ate"}, {"alism", "al"},
		{"aliti", "al"}, {"alli", "al"}, {"fulness", "ful"}, {"ousli", "ous"}, {"ousness", "ous"}, {"iveness", "ive"},
		{"iviti", "ive"}, {"biliti", "ble"}, {"bli", "ble"}, {"ogi", "og"}, {"fulli", "ful"}, {"lessli", "less"}, {"li", ""}}
	changes3 = []change{{"tional", "tion"}, {"ational", "ate"}, {"alize", "al"}, {"icate", "ic"}, {"iciti", "ic"},
		{"ical", "ic"}, {"ful", ""}, {"ness", ""}, {"ative", ""}}
	changes4 = []change{{"al", ""}, {"ance", ""}, {"ence", ""}, {"er", ""}, {"ic", ""}, {"able", ""}, {"ible", ""},
		{"ant", ""}, {"ement", ""}, {"ment", ""}, {"ent", ""}, {"ism", ""}, {"ate", ""}, {"iti", ""}, {"ous", ""},
		{"ive", ""}, {"ize", ""}, {"ion", ""}}
)

// find returns the change with the longest suffix that the word ends with.
func (s *stemmer) find(changes []change) (best change, ok bool) {
	for _, c := range changes {
		if len(c.suffix) > len(best.suffix) && s.ends(c.suffix) {
			best, ok = c, true
		}
	}
	return best, ok
}

func (s *stemmer) step2() {
	c, ok := s.find(changes2)
	n := len(s.w) - len(c.suffix)
	if !ok || n < s.r1 {
		return
	}
	switch {
	case c.suffix == "ogi" && (n == 0 || s.w[n-1] != 'l'):
	case c.suffix == "li" && (n == 0 || !strings.ContainsRune("cdeghkmnrt", s.w[n-1])):
	default:
		s.replace(c.suffix, c.by)
	}
}

func (s *stemmer) step3() {
	c, ok := s.find(changes3)
	n := len(s.w) - len(c.suffix)
	if ok && n >= s.r1 && (c.suffix != "ative" || n >= s.r2) {
		s.replace(c.suffix, c.by)
	}
}

func (s *stemmer) step4() {
	c, ok := s.find(changes4)
	n := len(s.w) - len(c.suffix)
	if ok && n >= s.r2 && (c.suffix != "ion" || n > 0 && (s.w[n-1] == 's' || s.w[n-1] == 't')) {
		s.replace(c.suffix, c.by)
	}
}

func (s *stemmer) step5() {
	n := len(s.w) - 1
	if n < 0 {
		return
	}
	switch {
	case s.w[n] == 'e' && (n >= s.r2 || n >= s.r1 && !s.shortSyllable(n)):
		s.w = s.w[:n]
	case s.w[n] == 'l' && n >= s.r2 && n > 0 && s.w[n-1] == 'l':
		s.w = s.w[:n]
	}
}
