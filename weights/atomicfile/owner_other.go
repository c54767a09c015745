//go:build !unix

package atomicfile

import (
	"io/fs"
	"os"
)

// keepOwner does nothing: owners are not numbers here.
func keepOwner(*os.File, fs.FileInfo) error { return nil }
