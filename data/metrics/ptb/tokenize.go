// Package ptb splits captions into words exactly as coco-caption does: the Penn Treebank lexer of CoreNLP 3.4.1, which
// pycocoevalcap runs in Java, and coco-caption's list of punctuation that is removed. It knows English only.
package ptb

import (
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Tokenize splits a caption into lower-case words exactly as coco-caption's PTBTokenizer does with one call a caption:
// Stanford's Penn Treebank rules, then coco-caption's list of punctuation removed. It returns nil for a caption
// without words.
//
// A line feed counts as a blank. Any other line end (carriage return, vertical tab, form feed, U+2028, U+2029) ends the
// caption, as it does there. Invalid UTF-8 is read as U+FFFD, which is dropped like every character that the lexer
// does not know, emoji among them. Safe for concurrent use.
func Tokenize(s string) []string {
	var t Scanner
	return t.Tokenize(s)
}

// TokenizeTogether splits captions as one call of coco-caption's PTBTokenizer for all of them does. It differs from
// Tokenize where the lexer looks across the end of a caption (a last word like "S." keeps its full stop or not by the
// first word of the next caption), and every line end inside a caption shifts the words of all captions after it by
// one.
func TokenizeTogether(captions []string) [][]string {
	var t Scanner
	for i, c := range captions {
		if i > 0 {
			t.text = append(t.text, '\n')
		}
		t.text = AppendUTF16(t.text, c)
	}
	out := make([][]string, len(captions))
	for i, at := 0, 0; i < len(captions); i++ {
		out[i], at = t.line(at)
	}
	return out
}

// Scanner keeps the buffers of one goroutine that tokenizes many captions. The zero value is ready.
type Scanner struct {
	text []uint16
}

func (t *Scanner) Tokenize(s string) []string {
	t.text = AppendUTF16(t.text[:0], s)
	out, _ := t.line(0)
	return out
}

// line returns the words from a position to the next line end, and the position behind that.
func (t *Scanner) line(at int) ([]string, int) {
	lex, err := rules()
	if err != nil {
		panic(err) // the rules are constants
	}
	var out []string
	for at < len(t.text) {
		rule, head := lex.match(t.text[at:])
		if rule < 0 {
			at++
			continue
		}
		do := lex.rules[rule].do
		if do == endLine {
			at += head
			break
		}
		token, used := makeToken(do, t.text[at:at+head])
		at += max(used, 1)
		if token != "" {
			out = append(out, Lower(token))
		}
	}
	return withoutPunctuation(out), at
}

// withoutPunctuation removes coco-caption's list from a line of tokens.
func withoutPunctuation(tokens []string) []string {
	// coco-caption strips the blanks at the end of a line of tokens; a URL can hold some.
	if n := len(tokens); n > 0 {
		tokens[n-1] = strings.TrimRightFunc(tokens[n-1], PythonSpace)
	}
	kept := tokens[:0]
	for _, token := range tokens {
		if token != "" && !punctuation(token) {
			kept = append(kept, token)
		}
	}
	if len(kept) == 0 {
		return nil
	}
	return kept
}

// AppendUTF16 appends s with line feeds as blanks.
func AppendUTF16(b []uint16, s string) []uint16 {
	for _, r := range s {
		if r == '\n' {
			r = ' '
		}
		b = utf16.AppendRune(b, r)
	}
	return b
}

// makeToken returns the text of the token for the matched units and how many of them it used.
func makeToken(do action, m []uint16) (string, int) {
	n := len(m)
	switch do {
	case asIs:
		return decode(m), n
	case drop:
		return "", n
	case word:
		return withoutSoftHyphens(decode(m)), n
	case amp:
		return unescapeAmp(decode(m)), n
	case opening:
		return openingQuotes.Replace(decode(m)), n
	case closing:
		return closingQuotes.Replace(decode(m)), n
	case noSpace:
		return strings.ReplaceAll(decode(m), " ", "\u00a0"), n
	case parens:
		return parenNames.Replace(decode(m)), n
	case phone:
		return parenNames.Replace(strings.ReplaceAll(decode(m), " ", "\u00a0")), n
	case dash:
		return "--", n
	case dashes:
		if n == 3 || n == 4 {
			return "--", n
		}
		return decode(m), n
	case dots:
		return "...", n
	case less:
		return "<", n
	case greater:
		return ">", n
	case lsb:
		return "-LSB-", n
	case rsb:
		return "-RSB-", n
	case lcb:
		return "-LCB-", n
	case rcb:
		return "-RCB-", n
	case currency:
		return currencyNames.Replace(decode(m)), n
	case fraction:
		return fractionNames.Replace(decode(m)), n
	case keep2:
		return decode(m[:2]), 2
	case keep3:
		return decode(m[:3]), 3
	case acronym:
		if n == 2 { // a single letter rarely is one
			return decode(m[:1]), 1
		}
		return decode(m), n - 1
	case abbrev:
		return decode(m), n - 1
	case trim:
		for n > 0 && (m[n-1] == ' ' || m[n-1] >= '\t' && m[n-1] <= '\r' || m[n-1] == 0x85) {
			n--
		}
		return decode(m[:n]), n
	}
	return "", n
}

var (
	openingQuotes = strings.NewReplacer("&apos;", "`", "'", "`", `"`, "``", "&quot;", "``",
		"\u0091", "`", "‘", "`", "‛", "`", "‹", "`", "\u0092", "'", "’", "'", "›", "'",
		"\u0093", "``", "“", "``", "«", "``", "\u0094", "''", "”", "''", "»", "''")
	closingQuotes = strings.NewReplacer("&apos;", "'", `"`, "''", "&quot;", "''",
		"\u0091", "`", "‘", "`", "‛", "`", "‹", "`", "\u0092", "'", "’", "'", "›", "'",
		"\u0093", "``", "“", "``", "«", "``", "\u0094", "''", "”", "''", "»", "''")
	parenNames    = strings.NewReplacer("(", "-LRB-", ")", "-RRB-")
	currencyNames = strings.NewReplacer("¢", "cents", "£", "#", "\u0080", "$", "¤", "$", "₠", "$", "€", "$")
	fractionNames = strings.NewReplacer("¼", "1/4", "½", "1/2", "¾", "3/4", "⅓", "1/3", "⅔", "2/3")
)

// punctuation reports whether coco-caption removes the token. Its list also names the brackets, but in capitals,
// which no token has.
func punctuation(token string) bool {
	switch token {
	case "''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";":
		return true
	}
	return false
}

// withoutSoftHyphens removes U+00AD; a word of nothing else becomes a hyphen.
func withoutSoftHyphens(s string) string {
	if !strings.Contains(s, "\u00ad") {
		return s
	}
	if s = strings.ReplaceAll(s, "\u00ad", ""); s == "" {
		return "-"
	}
	return s
}

// unescapeAmp writes &amp; in any case as &.
func unescapeAmp(s string) string {
	for i := 0; i+5 <= len(s); i++ {
		if s[i] == '&' && strings.EqualFold(s[i:i+5], "&amp;") {
			s = s[:i+1] + s[i+5:]
		}
	}
	return s
}

// decode returns the units as text; half a surrogate pair becomes a question mark, as the jar prints it.
func decode(m []uint16) string {
	var b strings.Builder
	b.Grow(len(m))
	for i := 0; i < len(m); i++ {
		switch r := rune(m[i]); {
		case r < utf8.RuneSelf:
			b.WriteByte(byte(r))
		case !utf16.IsSurrogate(r):
			b.WriteRune(r)
		case i+1 < len(m) && utf16.DecodeRune(r, rune(m[i+1])) != utf8.RuneError:
			b.WriteRune(utf16.DecodeRune(r, rune(m[i+1])))
			i++
		default:
			b.WriteByte('?')
		}
	}
	return b.String()
}

// PythonSpace reports whether Python's str.split and str.rstrip count r as a blank.
func PythonSpace(r rune) bool {
	return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f
}
