package image

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// DecodeFile decodes the image in the file at path. Directories, pipes,
// sockets and devices are refused without being read, and so are files of more
// than MaxFileBytes. Errors name the path and wrap the *Error of Decode or the
// error of the file system.
func DecodeFile(path string, o Options) (*RGB, error) {
	b, err := ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read image %q: %w", path, err)
	}
	m, err := Decode(b, o)
	if err != nil {
		return nil, fmt.Errorf("read image %q: %w", path, err)
	}
	return m, nil
}

// ReadFile reads the file at path as DecodeFile does, with its limits, and does not decode it. Errors do not name the
// path.
func ReadFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, bare(err)
	}
	if err := regular(info); err != nil {
		return nil, err
	}
	// Should the file be exchanged for a pipe now, opening must still not wait.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, bare(err)
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, bare(err)
	}
	if err := regular(info); err != nil {
		return nil, err
	}
	b := make([]byte, info.Size())
	n, err := io.ReadFull(f, b)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, bare(err)
	}
	return b[:n], nil
}

func regular(info fs.FileInfo) error {
	kind := ""
	switch m := info.Mode(); {
	case m.IsRegular():
		if info.Size() > MaxFileBytes {
			return refuse("", ErrTooLarge, "file of %d bytes, limit %d", info.Size(), MaxFileBytes)
		}
		return nil
	case m.IsDir():
		kind = "directory"
	case m&fs.ModeNamedPipe != 0:
		kind = "named pipe"
	case m&fs.ModeSocket != 0:
		kind = "socket"
	case m&fs.ModeDevice != 0:
		kind = "device"
	default:
		kind = m.Type().String()
	}
	return refuse("", ErrNotRegular, "%s", kind)
}

// bare takes the path off an error of the file system; DecodeFile quotes it once.
func bare(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
