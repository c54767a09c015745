//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package weights

import (
	"errors"
	"io"
	"os"
)

// mapFile reads the file into memory: this system's maps are not supported.
func mapFile(f *os.File, size int) ([]byte, func() error, error) {
	b := make([]byte, size)
	if _, err := io.ReadFull(f, b); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			err = errors.New("the file became shorter while it was read")
		}
		return nil, nil, err
	}
	return b, func() error { return nil }, nil
}
