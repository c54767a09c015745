//go:build linux || darwin

package transfer

import "syscall"

// freeSpace is how many bytes a user may still write to the disk of a folder.
func freeSpace(folder string) (int64, bool) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(folder, &st); err != nil {
		return 0, false
	}
	return int64(st.Bavail) * int64(st.Bsize), true
}
