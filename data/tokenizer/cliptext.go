package tokenizer

import (
	"html"
	"regexp"
	"strings"

	"golang.org/x/text/cases"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/language"
	"golang.org/x/text/unicode/norm"
)

// What ftfy 6.3.1's fix_text does to a text by default (github.com/rspeer/python-ftfy), but for its guesses about
// encodings.

var (
	entity         = regexp.MustCompile(`&#?[0-9A-Za-z]{1,24};`)
	terminalEscape = regexp.MustCompile(`\x1b\[[\d;]*[a-zA-Z]`)
	lineBreaks     = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u2028", "\n", "\u2029", "\n", "\u0085", "\n")
	ligatures      = strings.NewReplacer(
		"Ĳ", "IJ", "ĳ", "ij", "ŉ", "ʼn", "Ǳ", "DZ", "ǲ", "Dz", "ǳ", "dz", "Ǆ", "DŽ", "ǅ", "Dž", "ǆ", "dž",
		"Ǉ", "LJ", "ǈ", "Lj", "ǉ", "lj", "Ǌ", "NJ", "ǋ", "Nj", "ǌ", "nj",
		"ﬀ", "ff", "ﬁ", "fi", "ﬂ", "fl", "ﬃ", "ffi", "ﬄ", "ffl", "ﬅ", "ſt", "ﬆ", "st")
)

// repair mends a text line by line, each until nothing changes any more. Entities are resolved up to the first line
// with a "<": what follows may be HTML itself.
func repair(s string) string {
	if plain(s) {
		return s
	}
	var b strings.Builder
	markup := false
	for line := range strings.SplitAfterSeq(s, "\n") {
		markup = markup || strings.Contains(line, "<")
		for before := ""; before != line; {
			before = line
			if !markup {
				line = entity.ReplaceAllStringFunc(line, unescapeEntity)
			}
			line = repairOnce(line)
		}
		b.WriteString(line)
	}
	return b.String()
}

// plain tells whether a text is ASCII that nothing here would change, as most captions are.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\n' && c != '\t' || c > '~' || c == '&' {
			return false
		}
	}
	return true
}

func repairOnce(s string) string {
	s = strings.Map(func(r rune) rune {
		if r >= 0x80 && r <= 0x9f { // a control character here is a sign of Windows's
			if w := charmap.Windows1252.DecodeByte(byte(r)); w != '\ufffd' {
				return w
			}
		}
		return r
	}, s)
	s = widths(ligatures.Replace(s))
	s = strings.Map(straight, s)
	s = terminalEscape.ReplaceAllString(lineBreaks.Replace(s), "")
	return norm.NFC.String(strings.Map(dropControl, s))
}

// widths replaces halfwidth and fullwidth forms by the usual ones.
func widths(s string) string {
	if !strings.ContainsFunc(s, wide) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\u3000':
			b.WriteByte(' ')
		case wide(r):
			b.WriteString(norm.NFKC.String(string(r)))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func wide(r rune) bool { return r == '\u3000' || r >= 0xff01 && r <= 0xffef }

func straight(r rune) rune {
	switch {
	case r == '\u02bc' || r >= '\u2018' && r <= '\u201b':
		return '\''
	case r >= '\u201c' && r <= '\u201f':
		return '"'
	}
	return r
}

func dropControl(r rune) rune {
	switch {
	case r <= 0x08, r == 0x0b, r >= 0x0e && r < 0x20, r == 0x7f,
		r >= 0x206a && r <= 0x206f, r == 0xfeff, r >= 0xfff9 && r <= 0xfffc:
		return -1
	}
	return r
}

// unescapeEntity resolves one entity if all of it is one, also a name in capitals that has only a lower-case form:
// "&NTILDE;".
func unescapeEntity(s string) string {
	to := unescapeHTML(s)
	switch {
	case s == "&semi;", !strings.Contains(to, ";"):
		return to
	case to != s || s[1] == '#' || s != strings.ToUpper(s):
		return s
	}
	if lower := html.UnescapeString(strings.ToLower(s)); !strings.Contains(lower, ";") {
		return cases.Upper(language.Und).String(lower)
	}
	return s
}

// lowerText is Python's str.lower: a sigma at the end of a word gets its own form.
func lowerText(s string) string {
	if plain(s) {
		return strings.ToLower(s)
	}
	return cases.Lower(language.Und).String(s)
}
