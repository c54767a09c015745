package store

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"captioner/weights/atomicfile"
)

// recordSuffix names the file beside one that nobody vouches for: its SHA-256 when it was fetched, as sha256sum writes
// it.
const recordSuffix = ".sha256"

func writeRecord(path, sum string) error {
	return atomicfile.WriteFile(path+recordSuffix, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s  %s\n", sum, filepath.Base(path))
		return err
	})
}

// readRecord returns the recorded checksum, or "" if there is none.
func readRecord(path string) string {
	b, err := os.ReadFile(path + recordSuffix)
	sum, _, ok := strings.Cut(string(b), " ")
	if err != nil || !ok || len(sum) != 64 {
		return ""
	}
	return sum
}
