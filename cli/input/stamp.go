package input

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
)

// stamp is what a file looked like when it was read.
type stamp struct {
	size int64
	time int64 // of its last change, in nanoseconds since 1970
}

func StampOf(i fs.FileInfo) stamp { return stamp{i.Size(), i.ModTime().UnixNano()} }

// ID tells a picture, as it was when it was captioned, from all others.
type ID [12]byte

func IDOf(path string, s stamp) ID {
	h := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%d", path, s.size, s.time))
	return ID(h[:])
}
