//go:build !linux

package output

import (
	"os"
	"time"
)

// accessed is a time for a file that was read; where systems keep the real one differs.
func accessed(info os.FileInfo) time.Time { return info.ModTime() }
