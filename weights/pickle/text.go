package pickle

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

// line returns the rest of the line and steps over its end: the arguments of protocol 0.
func (m *machine) line() (string, error) {
	n := bytes.IndexByte(m.in[m.pos:], '\n')
	if n < 0 {
		return "", errCut
	}
	s := string(m.in[m.pos : m.pos+n])
	m.pos += n + 1
	return s, nil
}

func (m *machine) indexLine() (uint64, error) {
	s, err := m.line()
	if err != nil {
		return 0, err
	}
	i, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("memo number %s, want 0 to 2^31-1", shorten(s))
	}
	return i, nil
}

// numberLine reads INT, LONG and FLOAT.
func (m *machine) numberLine(op byte) error {
	s, err := m.line()
	if err != nil {
		return err
	}
	if op == 'F' {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) {
			return fmt.Errorf("float %s", shorten(s))
		}
		m.push(v)
		return nil
	}
	if op == 'I' && (s == "00" || s == "01") { // how protocol 0 writes booleans
		m.push(s == "01")
		return nil
	}
	s = strings.TrimSuffix(s, "L")
	if v, err := strconv.ParseInt(s, 10, 64); err == nil {
		m.push(v)
		return nil
	}
	if len(s) > 2*maxLong { // the time to read decimals grows with their square
		return fmt.Errorf("integer of %d digits, want at most %d", len(s), 2*maxLong)
	}
	v, ok := new(big.Int).SetString(s, 10)
	if !ok {
		return fmt.Errorf("integer %s", shorten(s))
	}
	m.push(v)
	return nil
}

func (m *machine) text(op byte) error {
	switch op {
	case 'S': // STRING
		s, err := m.line()
		if err != nil {
			return err
		}
		v, err := unquote(s)
		if err != nil {
			return err
		}
		m.push(v)
		return nil
	case 'V': // UNICODE
		s, err := m.line()
		if err != nil {
			return err
		}
		m.push(unescapeUnicode(s))
		return nil
	}
	size := map[byte]int{'T': 4, 'U': 1, 'X': 4, 0x8c: 1, 0x8d: 8, 'B': 4, 'C': 1, 0x8e: 8, 0x96: 8}[op]
	b, err := m.sized(size)
	if err != nil {
		return err
	}
	switch op {
	case 'B', 'C', 0x8e, 0x96: // bytes and bytearray
		m.push(Bytes(b))
	default: // str; and Python 2's str, which torch reads as text too
		m.push(string(b))
	}
	return nil
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
