package weights

import (
	"errors"
	"fmt"
)

// FormatError reports that a file is not of the format that it is read as, or of a part of the format that is not read.
type FormatError struct {
	Format string // "safetensors", "npy"
	Path   string // empty for bytes in memory
	Msg    string // what was found and what was wanted
}

func (e *FormatError) Error() string {
	if e.Path == "" {
		return e.Format + ": " + e.Msg
	}
	return fmt.Sprintf("open %q: %s: %s", e.Path, e.Format, e.Msg)
}

// MapFile maps a file and hands its bytes to parse. When that fails, the map is closed, and a *FormatError is told the
// path.
func MapFile(path string, parse func([]byte) error) (*Mapping, error) {
	m, err := Map(path)
	if err != nil {
		return nil, err
	}
	if err := parse(m.Bytes()); err != nil {
		m.Close()
		var format *FormatError
		if errors.As(err, &format) {
			format.Path = path
		}
		return nil, err
	}
	return m, nil
}

// About returns the file, and what is wrong with it.
func (e *FormatError) About() (file string, why error) {
	return e.Path, errors.New(e.Format + ": " + e.Msg)
}
