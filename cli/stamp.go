package cli

import (
	"fmt"
	"io/fs"

	"crypto/sha256"
)

// stamp is what a file looked like when it was read.
type stamp struct {
	size int64
	time int64 // of its last change, in nanoseconds since 1970
}

func stampOf(i fs.FileInfo) stamp { return stamp{i.Size(), i.ModTime().UnixNano()} }

// pictureKey tells a picture, as it was when it was captioned, from all others.
type pictureKey [12]byte

func keyOf(path string, s stamp) pictureKey {
	h := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%d", path, s.size, s.time))
	return pictureKey(h[:])
}
