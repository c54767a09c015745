package metrics

import (
	"regexp"
	"strings"

	"captioner/data/metrics/ptb"
)

// The character ranges that METEOR's normalizer knows as letters.
const (
	meteorAlpha = `A-Za-zŠŽšžŸÀ-ÖØ-öø-ž\x{400}-\x{4ff}\x{500}-\x{527}\x{a640}-\x{a66e}\x{a67e}-\x{a697}\x{1d00}-\x{1d7f}`
	meteorAlnum = `0-9` + meteorAlpha
)

// The steps of the normalizer, in their order. Each rewrites the whole line, left to right, without overlap, so a
// separator that two matches would share is seen by the first only, as in METEOR.
var (
	normOther    = regexp.MustCompile("([^" + meteorAlnum + "\\t\\n\\x0b\\f\\r .'`,\\-‘’])")
	normDots     = regexp.MustCompile(`\.(\.+)`)
	normDotsNext = regexp.MustCompile(`DOTMULTI\.([^.])`)
	normCommas   = []*regexp.Regexp{
		regexp.MustCompile(`([^0-9]),([^0-9])`),
		regexp.MustCompile(`([0-9]),([^0-9])`),
		regexp.MustCompile(`([^0-9]),([0-9])`),
	}
	normSingle = strings.NewReplacer("`", "'", "‘", "'", "’", "'")
	normDouble = strings.NewReplacer("“", ` " `, "”", ` " `, "''", ` " `)
	normDash   = regexp.MustCompile(`([` + meteorAlnum + `.])-([` + meteorAlnum + `])`)
	normApart  = []*regexp.Regexp{regexp.MustCompile(`([^` + meteorAlpha + `])'([^` + meteorAlpha + `])`),
		regexp.MustCompile(`([^` + meteorAlpha + `0-9])'([` + meteorAlpha + `])`), regexp.MustCompile(`([` + meteorAlpha +
			`])'([^` + meteorAlpha + `])`)}
	normRight = []*regexp.Regexp{regexp.MustCompile(`([` + meteorAlpha + `])'([` + meteorAlpha + `])`),
		regexp.MustCompile(`([0-9])'(s)`)}
	normLetter = regexp.MustCompile(`[` + meteorAlpha + `]`)
	normBlanks = regexp.MustCompile(`[ \x{2000}-\x{200a}\x{202f}\x{205f}\x{3000}\x{a0}]+`)
)

// normalize splits a line into the words that METEOR compares (its option -norm, English, punctuation kept).
func (m *METEOR) normalize(line string) []string {
	if plainWords(line) {
		return strings.Fields(line)
	}
	s := " " + line + " "
	s = normOther.ReplaceAllString(s, " $1 ")
	// Runs of dots become markers, so that they stay whole.
	s = normDots.ReplaceAllString(s, " DOTMULTI$1")
	for strings.Contains(s, "DOTMULTI.") {
		s = normDotsNext.ReplaceAllString(s, "DOTDOTMULTI $1")
		s = strings.ReplaceAll(s, "DOTMULTI.", "DOTDOTMULTI")
	}
	for _, r := range normCommas {
		s = r.ReplaceAllString(s, "$1 , $2")
	}
	s = normDouble.Replace(normSingle.Replace(s))
	s = strings.ReplaceAll(strings.ReplaceAll(s, "–", "-"), "--", "-")
	s = normDash.ReplaceAllString(s, "$1 $2")
	for _, r := range normApart {
		s = r.ReplaceAllString(s, "$1 ' $2")
	}
	for _, r := range normRight {
		s = r.ReplaceAllString(s, "$1 '$2")
	}
	s = m.splitDots(strings.FieldsFunc(s, javaBlank))
	for strings.Contains(s, "DOTDOTMULTI") {
		s = strings.ReplaceAll(s, "DOTDOTMULTI", "DOTMULTI.")
	}
	s = strings.ReplaceAll(s, "DOTMULTI", ".")
	s = normBlanks.ReplaceAllString(s, " ")
	return strings.FieldsFunc(ptb.Lower(s), javaBlank)
}

// splitDots cuts full stops off words that are not abbreviations and joins the words by blanks.
func (m *METEOR) splitDots(words []string) string {
	var b strings.Builder
	for i, w := range words {
		before, dot := strings.CutSuffix(w, ".")
		kind := m.prefixes[before]
		next := ""
		if i+1 < len(words) {
			next = words[i+1]
		}
		switch {
		case !dot || before == "":
			b.WriteString(w)
		case strings.Contains(before, ".") && normLetter.MatchString(before): // U.S. as US
			b.WriteString(strings.ReplaceAll(w, ".", ""))
		case kind == prefixAlways, next != "" && 'a' <= next[0] && next[0] <= 'z',
			kind == prefixNumber && next != "" && '0' <= next[0] && next[0] <= '9':
			b.WriteString(w)
		default:
			b.WriteString(before + " .")
		}
		b.WriteByte(' ')
	}
	return b.String()
}

// plainWords reports whether the normalizer would leave the line alone: lower-case ASCII letters, digits and blanks.
func plainWords(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == ' ') {
			return false
		}
	}
	return true
}

// javaBlank reports whether Java's StringTokenizer splits at r.
func javaBlank(r rune) bool {
	switch r {
	case ' ', '\t', '\n', '\r', '\f':
		return true
	}
	return false
}
