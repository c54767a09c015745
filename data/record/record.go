// Package record reads the entries of files of captions that somebody else wrote: lines, rows of tables, and objects of
// JSON, under the names that are common for images and captions. It knows no data sets: packages data and
// data/predictions make these of the entries.
package record

import (
	"fmt"
	"strings"
	"unicode"
)

// Error says where in which file something is not as its format wants it.
type Error struct {
	File   string
	Record string // "line 12", "annotation 3", "member \"a.jpg\""; "" for the file as a whole
	Err    error
}

func (e *Error) Error() string {
	if e.Record == "" {
		return fmt.Sprintf("read %q: %v", e.File, e.Err)
	}
	return fmt.Sprintf("read %q: %s: %v", e.File, e.Record, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// About returns the file, and what is wrong with it, where.
func (e *Error) About() (file string, why error) {
	if e.Record == "" {
		return e.File, e.Err
	}
	return e.File, fmt.Errorf("%s: %w", e.Record, e.Err)
}

// At makes an Error. Number counts from 1.
func At(file, what string, number int, format string, args ...any) error {
	return &Error{file, fmt.Sprintf("%s %d", what, number), fmt.Errorf(format, args...)}
}

// Trim takes away white space, and the byte order marks that putting files together leaves between captions.
func Trim(caption string) string {
	return strings.TrimFunc(caption, func(r rune) bool { return unicode.IsSpace(r) || r == '\ufeff' })
}
