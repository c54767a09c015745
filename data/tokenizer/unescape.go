package tokenizer

import (
	"html"
	"math"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/text/encoding/charmap"
)

var reference = regexp.MustCompile(`&(?:#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\f <&#;]{1,32};?)`)

// unescapeHTML does what Python's html.unescape does. Go's differs in the numbers that stand for no letter.
func unescapeHTML(s string) string {
	if !strings.Contains(s, "&") {
		return s
	}
	return reference.ReplaceAllStringFunc(s, func(s string) string {
		if digits, ok := strings.CutPrefix(s, "&#"); ok {
			return numbered(strings.TrimSuffix(digits, ";"))
		}
		return html.UnescapeString(s)
	})
}

// numbered is the letter of a number, decimal or with an x before it.
func numbered(digits string) string {
	base := 10
	if digits[0] == 'x' || digits[0] == 'X' {
		digits, base = digits[1:], 16
	}
	n, err := strconv.ParseUint(digits, base, 64)
	if err != nil {
		n = math.MaxUint64 // too many digits for one
	}
	switch {
	case n == 0, n >= 0xd800 && n <= 0xdfff, n > 0x10ffff:
		return "\ufffd"
	case n >= 0x80 && n <= 0x9f:
		if r := charmap.Windows1252.DecodeByte(byte(n)); r != '\ufffd' {
			return string(r)
		}
		return string(rune(n))
	case n <= 0x08, n == 0x0b, n >= 0x0e && n <= 0x1f, n == 0x7f, n >= 0xfdd0 && n <= 0xfdef, n&0xfffe == 0xfffe:
		return ""
	}
	return string(rune(n))
}
