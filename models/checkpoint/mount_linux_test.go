package checkpoint

import "syscall"

// mountSmall puts a disk of 128 kB on a folder, if this user may.
func mountSmall(dir string) error { return syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=128k") }

func unmount(dir string) error { return syscall.Unmount(dir, 0) }
