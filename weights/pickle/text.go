package pickle

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// text reads the value of an opcode that pushes text or bytes.
func (r *input) text(op byte) (any, error) {
	switch op {
	case 'S': // STRING
		s, err := r.line()
		if err != nil {
			return nil, err
		}
		return unquote(s)
	case 'V': // UNICODE
		s, err := r.line()
		return unescapeUnicode(s), err
	}
	size := map[byte]int{'T': 4, 'U': 1, 'X': 4, 0x8c: 1, 0x8d: 8, 'B': 4, 'C': 1, 0x8e: 8, 0x96: 8}[op]
	b, err := r.sized(size)
	switch op {
	case 'B', 'C', 0x8e, 0x96: // bytes and bytearray
		return Bytes(b), err
	}
	return string(b), err // str; and Python 2's str, which torch reads as text too
}

// unquote reads a Python string literal with ASCII escapes, as protocol 0 writes Python 2's strings.
func unquote(s string) (string, error) {
	if len(s) < 2 || s[0] != s[len(s)-1] || s[0] != '\'' && s[0] != '"' {
		return "", fmt.Errorf("string %s without quotes", shorten(s))
	}
	s = s[1 : len(s)-1]
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		i++
		if i == len(s) {
			return "", errors.New("string ends in a backslash")
		}
		const from, to = `\'"abfnrtv`, "\\'\"\a\b\f\n\r\t\v"
		if k := strings.IndexByte(from, s[i]); k >= 0 {
			b.WriteByte(to[k])
			continue
		}
		if s[i] == 'x' && i+2 < len(s) {
			if v, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(v))
				i += 2
				continue
			}
		}
		return "", fmt.Errorf("string with the escape \\%c", s[i])
	}
	return b.String(), nil
}

// unescapeUnicode reads Latin-1 text with \uXXXX and \UXXXXXXXX, as protocol 0 writes str.
func unescapeUnicode(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		digits := 0
		if s[i] == '\\' && i+1 < len(s) {
			digits = map[byte]int{'u': 4, 'U': 8}[s[i+1]]
		}
		if digits > 0 && i+2+digits <= len(s) {
			if v, err := strconv.ParseUint(s[i+2:i+2+digits], 16, 32); err == nil && v <= utf8.MaxRune {
				b.WriteRune(rune(v))
				i += 1 + digits
				continue
			}
		}
		b.WriteRune(rune(s[i]))
	}
	return b.String()
}

func shorten(s string) string {
	if len(s) > 64 {
		s = s[:64] + "…"
	}
	return strconv.Quote(s)
}
