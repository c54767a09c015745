package store

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"captioner/weights/hub"
	"captioner/weights/transfer"
)

// What can go wrong with a fetch, for errors.Is. The text of an *Error says the particulars.
var (
	ErrChecksum = transfer.ErrChecksum
	ErrSize     = transfer.ErrSize
	ErrCut      = transfer.ErrCut
	ErrStalled  = transfer.ErrStalled
	ErrPage     = transfer.ErrPage
	ErrNotFound = transfer.ErrNotFound
	ErrDenied   = transfer.ErrDenied
	ErrServer   = transfer.ErrServer
	ErrNetwork  = transfer.ErrNetwork
	ErrOffline  = transfer.ErrOffline
	ErrSpace    = transfer.ErrSpace
	ErrFormat   = transfer.ErrFormat
)

// Error says why a file could not be fetched, in one line.
type Error = transfer.Error

// Remote is a published file that is read in parts and not kept as a whole.
type Remote = transfer.Remote

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
		h += fmt.Sprintf(" (%s)", transfer.Megabytes(n))
	}
	return h + ", or without a network " + byHand(e.entry, e.Target)
}

// byHand says how to bring an entry here from another machine.
func byHand(e Entry, target string) string {
	switch {
	case e.Repo != "":
		return fmt.Sprintf("copy the folder %q from the Hugging Face cache of a machine that has it to %q",
			hub.FolderName(e.Repo), target)
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
	return "run \"captioner weights list\" for the names; ORG/NAME is a model of the Hugging Face hub"
}
