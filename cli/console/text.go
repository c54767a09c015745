package console

import (
	"fmt"
	"strconv"
	"strings"
)

// Escape makes one field of a line of a path: a backslash, tab, line end or other control character is written as in Go
// or C (\\ \t \n \x1b).
func Escape(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r == '\\' || r < ' ' || r == 0x7f }) {
		return s
	}
	return Visible(strings.ReplaceAll(s, `\`, `\\`))
}

// Visible replaces control characters by their escapes, so that a name cannot break a line or speak to the terminal.
// All other bytes stay, also those that are not UTF-8.
func Visible(s string) string {
	var out strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\t':
			out.WriteString(`\t`)
		case c == '\n':
			out.WriteString(`\n`)
		case c == '\r':
			out.WriteString(`\r`)
		case c < ' ' || c == 0x7f:
			fmt.Fprintf(&out, `\x%02x`, c)
		default:
			out.WriteByte(c)
		}
	}
	return out.String()
}

// Unescape undoes escape.
func Unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			out.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 't':
			out.WriteByte('\t')
		case 'n':
			out.WriteByte('\n')
		case 'r':
			out.WriteByte('\r')
		case 'x':
			if n, err := strconv.ParseUint(s[i+1:min(i+3, len(s))], 16, 8); err == nil {
				out.WriteByte(byte(n))
				i += 2
				continue
			}
			out.WriteString(`\x`)
		default:
			out.WriteByte(s[i])
		}
	}
	return out.String()
}

// OneLine is err's text on one line, without libtorch's stack: joined errors are separated by semicolons.
func OneLine(err error) string {
	text, _, _ := strings.Cut(err.Error(), " frame #0: ")
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
	return Visible(strings.Join(lines, "; "))
}
