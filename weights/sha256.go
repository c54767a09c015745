package weights

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
)

// SHA256 returns the checksum of a file in lower-case hexadecimal, or of several files one after the other.
func SHA256(paths ...string) (string, error) {
	h := sha256.New()
	for _, path := range paths {
		if err := copyFile(h, path); err != nil {
			return "", &FileError{Doing: "read", File: path, Err: Reason(err)}
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func copyFile(w io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.CopyBuffer(w, struct{ io.Reader }{f}, make([]byte, 1<<20)) // large reads: files are gigabytes
	return err
}
