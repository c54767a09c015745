package store

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strconv"
	"strings"
	"time"

	"captioner/weights"
)

// What can go wrong with a fetch, for errors.Is. The text of an *Error says the particulars.
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
	offlineDetail = "no network may be used (HF_HUB_OFFLINE or --offline), want one"
	offlineHint   = "unset HF_HUB_OFFLINE and leave out --offline"
)

// Error says why a file could not be fetched, in one line.
type Error struct {
	Name   string // of the entry
	URL    string // that was asked for
	Detail string // what was found, and what was wanted
	Err    error  // one of the errors above

	hint  string
	again bool          // another try may help
	after time.Duration // that the server asks to wait; 0 where it does not say
}

func (e *Error) Error() string { return fmt.Sprintf("fetch %q from %q: %s", e.Name, e.URL, e.Detail) }
func (e *Error) Unwrap() error { return e.Err }

// Hint says what to do about it.
func (e *Error) Hint() string { return e.hint }

// MissingError says that weights are not on this machine.
type MissingError struct {
	Name   string // of the entry
	URL    string // of its file, or of its largest
	Target string // where to put it
	entry  Entry
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("find %q: not found at %q", e.Name, e.Target)
}

// Unwrap makes the error one of fs.ErrNotExist.
func (e *MissingError) Unwrap() error { return fs.ErrNotExist }

// Hint says how to get the weights, with this machine's network and without.
func (e *MissingError) Hint() string {
	h := fmt.Sprintf("run \"captioner weights fetch %s\"", e.Name)
	if n := e.entry.Size(); n > 0 {
		h += fmt.Sprintf(" (%s)", megabytes(n))
	}
	return h + ", or without a network " + byHand(e.entry, e.Target)
}

// byHand says how to bring an entry here from another machine.
func byHand(e Entry, target string) string {
	switch {
	case e.Repo != "":
		return fmt.Sprintf("copy the folder %q from the Hugging Face cache of a machine that has it to %q",
			hubName(e.Repo), target)
	case len(e.Members) > 0:
		var names []string
		for _, m := range e.Members {
			names = append(names, strconv.Quote(m.To))
		}
		return fmt.Sprintf("unpack %s, a zip archive, and put %s of it into %q", e.Files[0].URL,
			strings.Join(names, " and "), target)
	}
	return fmt.Sprintf("download %s elsewhere and put it at %q", e.Files[0].URL, target)
}

// UnknownError says that the manifest has no such name.
type UnknownError struct {
	Name string
	Near []string // names that contain it
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("find weights %q: found no such name, want one of \"captioner weights list\"", e.Name)
}

// Hint names what was probably meant.
func (e *UnknownError) Hint() string {
	if len(e.Near) > 0 {
		return "did you mean " + strings.Join(e.Near, ", ") + "?"
	}
	return "run \"captioner weights list\" for the names"
}

// settingError is a setting that makes no sense.
type settingError struct {
	error
	hint string
}

func (e *settingError) Unwrap() error { return e.error }
func (e *settingError) Hint() string  { return e.hint }

// reason drops what a message says already: the operation, the path, the address.
func reason(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		return reason(ue.Err)
	}
	return weights.Reason(err)
}

func megabytes(n int64) string {
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

// damagedError is a file whose content is not what its name says.
type damagedError struct {
	path      string
	got, want digest
	size      int64
}

func (e *damagedError) Error() string {
	return fmt.Sprintf("%q: %s %s of %d bytes, want %s", e.path, strings.ToUpper(e.got.kind), e.got.hex, e.size,
		e.want.hex)
}

func (e *damagedError) Unwrap() error { return ErrChecksum }

// Hint leaves it to the user to throw the file away: it may be one that was put there by hand.
func (e *damagedError) Hint() string { return fmt.Sprintf("delete %q and fetch it again", e.path) }
