package weights

import (
	"errors"
	"io/fs"
	"os"
)

// Reason returns what is wrong in an error of the file system, without the operation and the path: a message that names
// the file itself would otherwise name it twice, or name a temporary file that the user does not know. Any other error
// is returned as it is.
func Reason(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	var link *os.LinkError
	if errors.As(err, &link) {
		return link.Err
	}
	return err
}

// FileKind names what a mode stands for: "file", "folder", "named pipe", "socket" or "device".
func FileKind(m fs.FileMode) string {
	switch {
	case m.IsRegular():
		return "file"
	case m.IsDir():
		return "folder"
	case m&fs.ModeNamedPipe != 0:
		return "named pipe"
	case m&fs.ModeSocket != 0:
		return "socket"
	}
	return "device"
}
