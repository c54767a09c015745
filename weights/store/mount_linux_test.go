package store

import "syscall"

// mount puts a disk of 128 kB on a folder, if this user may.
func mount(dir string) error { return syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=128k") }

func remountReadOnly(dir string) error {
	return syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, "size=128k")
}

func unmount(dir string) error { return syscall.Unmount(dir, 0) }
