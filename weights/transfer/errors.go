package transfer

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"captioner/weights"
)

// What can go wrong with a download, for errors.Is. The text of an *Error says the particulars.
var (
	ErrChecksum = errors.New("wrong checksum")
	ErrSize     = errors.New("wrong size")
	ErrCut      = errors.New("connection broke off")
	ErrStalled  = errors.New("connection stalled")
	ErrPage     = errors.New("a web page instead of the file")
	ErrNotFound = errors.New("not found")
	ErrDenied   = errors.New("access denied")
	ErrServer   = errors.New("server error")
	ErrNetwork  = errors.New("no connection")
	ErrOffline  = errors.New("offline")
	ErrSpace    = errors.New("disk full")
	ErrFormat   = errors.New("not the kind of file that was expected")
)

// What an Error with ErrOffline says.
const (
	OfflineDetail = "no network may be used (HF_HUB_OFFLINE or --offline), want one"
	OfflineHint   = "unset HF_HUB_OFFLINE and leave out --offline"
)

// Error says why a file could not be fetched, in one line.
type Error struct {
	Name   string // of the entry
	URL    string // that was asked for
	Detail string // what was found, and what was wanted
	Err    error  // one of the errors above, or of who asked
	Remedy string

	again bool          // another try may help
	after time.Duration // that the server asks to wait; 0 where it does not say
}

func (e *Error) Error() string { return fmt.Sprintf("fetch %q from %q: %s", e.Name, e.URL, e.Detail) }
func (e *Error) Unwrap() error { return e.Err }

// Hint says what to do about it.
func (e *Error) Hint() string { return e.Remedy }

// SettingError is a setting that makes no sense.
type SettingError struct {
	Err    error
	Remedy string
}

func (e *SettingError) Error() string { return e.Err.Error() }
func (e *SettingError) Unwrap() error { return e.Err }

// Hint says what to set.
func (e *SettingError) Hint() string { return e.Remedy }

// Reason drops what a message says already: the operation, the path, the address.
func Reason(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		return Reason(ue.Err)
	}
	return weights.Reason(err)
}

// Megabytes is a number of bytes for people.
func Megabytes(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.2f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.0f MB", float64(n)/1e6)
	case n == 1:
		return "1 byte"
	}
	return fmt.Sprintf("%d bytes", n)
}

// statusOf is the status of an answer, as it is written.
func statusOf(r *http.Response) string {
	return strings.TrimSpace(fmt.Sprint(r.StatusCode, " ", http.StatusText(r.StatusCode)))
}

// DamagedError is a file whose content is not what its name says.
type DamagedError struct {
	Path      string
	Got, Want Digest
	Size      int64
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("%q: %s %s of %d bytes, want %s", e.Path, strings.ToUpper(e.Got.Kind), e.Got.Hex, e.Size,
		e.Want.Hex)
}

func (e *DamagedError) Unwrap() error { return ErrChecksum }

// Hint leaves it to the user to throw the file away: it may be one that was put there by hand.
func (e *DamagedError) Hint() string { return fmt.Sprintf("delete %q and fetch it again", e.Path) }
