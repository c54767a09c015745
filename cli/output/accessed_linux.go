package output

import (
	"os"
	"syscall"
	"time"
)

// accessed is when a file was last read.
func accessed(info os.FileInfo) time.Time {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(s.Atim.Unix())
	}
	return info.ModTime()
}
