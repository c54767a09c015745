package text

import (
	"fmt"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"
)

// Charset is a way to write characters as bytes.
type Charset string

// The charsets that a Reader finds.
const (
	UTF8        Charset = "UTF-8"
	UTF16LE     Charset = "UTF-16LE"
	UTF16BE     Charset = "UTF-16BE"
	UTF32LE     Charset = "UTF-32LE"
	UTF32BE     Charset = "UTF-32BE"
	Windows1252 Charset = "Windows-1252" // the fallback: what Windows wrote for decades in western Europe and America
)

// marks are the byte order marks. That of UTF-32LE begins with that of UTF-16LE and so comes first.
var marks = []struct {
	charset Charset
	bytes   string
}{
	{UTF8, "\xef\xbb\xbf"},
	{UTF32LE, "\xff\xfe\x00\x00"},
	{UTF32BE, "\x00\x00\xfe\xff"},
	{UTF16LE, "\xff\xfe"},
	{UTF16BE, "\xfe\xff"},
}

// codec is the codec of a charset of wide characters, without its byte order mark; nil for the others.
func (c Charset) codec() encoding.Encoding {
	switch c {
	case UTF16LE:
		return unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)
	case UTF16BE:
		return unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)
	case UTF32LE:
		return utf32.UTF32(utf32.LittleEndian, utf32.IgnoreBOM)
	case UTF32BE:
		return utf32.UTF32(utf32.BigEndian, utf32.IgnoreBOM)
	}
	return nil
}

// unit is the number of bytes that every character takes a multiple of.
func (c Charset) unit() int {
	switch c {
	case UTF16LE, UTF16BE:
		return 2
	case UTF32LE, UTF32BE:
		return 4
	}
	return 1
}

// Encoding is how a text was written.
type Encoding struct {
	Charset Charset
	Mark    bool  // it begins with a byte order mark
	Stray   int64 // bytes among UTF-8 that are none, and were read as Windows-1252
}

// Expected says that the text is UTF-8, with or without a byte order mark: there is nothing to tell anybody.
func (e Encoding) Expected() bool { return e.Charset == UTF8 && e.Stray == 0 }

// String names the encoding for people.
func (e Encoding) String() string {
	s := string(e.Charset)
	if e.Mark {
		s += " with a byte order mark"
	}
	if e.Stray == 1 {
		s += ", 1 byte of it read as Windows-1252"
	} else if e.Stray > 1 {
		s += fmt.Sprintf(", %d bytes of it read as Windows-1252", e.Stray)
	}
	return s
}

// Encode writes a text in the charset, without a byte order mark. A character that the charset lacks gives a
// *CharacterError.
func (e Encoding) Encode(s string) ([]byte, error) {
	if codec := e.Charset.codec(); codec != nil {
		return codec.NewEncoder().Bytes([]byte(s))
	}
	if e.Charset != Windows1252 {
		return []byte(s), nil
	}
	b := make([]byte, 0, len(s))
	for _, r := range s {
		c, ok := charmap.Windows1252.EncodeRune(r)
		if !ok {
			return nil, &CharacterError{Charset: e.Charset, Character: r}
		}
		b = append(b, c)
	}
	return b, nil
}

// CharacterError says that a charset has no bytes for a character.
type CharacterError struct {
	Charset   Charset
	Character rune
}

func (e *CharacterError) Error() string {
	return fmt.Sprintf("the text has the character %q, which %s lacks", e.Character, e.Charset)
}

// Hint says what to do.
func (e *CharacterError) Hint() string { return "save the file that is there as UTF-8 first" }
