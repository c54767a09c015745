package image

import (
	"errors"
	"fmt"
)

// Reasons for which an image is refused; an *Error wraps one of them.
var (
	ErrEmpty       = errors.New("no data")
	ErrUnsupported = errors.New("unsupported")
	ErrTruncated   = errors.New("truncated")
	ErrCorrupt     = errors.New("corrupt")
	ErrTooLarge    = errors.New("too large")
	ErrNotRegular  = errors.New("not a regular file")
)

// Error says why an image was refused. Its text is one line without the name
// of the file; DecodeFile puts that in front.
type Error struct {
	Format string // "JPEG", "PNG", … or "" when the format is unknown
	Reason error  // one of the Err values of this package
	Detail string // what was found and what was wanted; may be empty
}

func (e *Error) Error() string {
	s := "decode image: "
	if e.Format != "" {
		s = "decode " + e.Format + ": "
	}
	s += e.Reason.Error()
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}

// Unwrap lets errors.Is find the reason.
func (e *Error) Unwrap() error { return e.Reason }

func refuse(format string, reason error, detail string, args ...any) *Error {
	return &Error{Format: format, Reason: reason, Detail: fmt.Sprintf(detail, args...)}
}
