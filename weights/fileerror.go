package weights

import "fmt"

// A FileError says what went wrong with a file, and what was being done to it.
type FileError struct {
	Doing string // "open", "read", "write"
	File  string
	Err   error
}

func (e *FileError) Error() string { return fmt.Sprintf("%s %q: %v", e.Doing, e.File, e.Err) }

// Unwrap returns what is wrong.
func (e *FileError) Unwrap() error { return e.Err }

// About returns the file, and what is wrong with it.
func (e *FileError) About() (file string, why error) { return e.File, e.Err }
