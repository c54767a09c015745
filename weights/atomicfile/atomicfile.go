// Package atomicfile writes a file so that its name holds either what it held before or all of the new content. The
// content goes to a temporary name in the folder of the target; Commit syncs it and renames it over the target.
//
// One rule holds for every target, at Create and again at Commit:
//
//   - A symbolic link is followed: the file that it leads to is written, the link stays. A link that leads to a missing
//     file creates that file. A loop of links is an error.
//   - A folder, a named pipe, a socket or a device is refused with a *TargetError. So is /dev/stdout, whatever standard
//     output is connected to.
//   - A file that the process may not write to is refused, though its folder would allow the rename.
//   - An existing file keeps its permissions, and its owner and group where the system lets the process give them away.
//     Access control lists and extended attributes are not kept.
//   - A new file gets mode 0666 less the umask.
//   - A hard link is broken: the written name gets the new content, the other names keep the old. Nobody's copy changes
//     behind their back, as caches and snapshots made of hard links need it.
//
// A process that is killed may leave one file of the pattern Temporary in the folder.
package atomicfile

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"captioner/weights"
)

// Temporary is the pattern of the temporary names, for filepath.Glob.
const Temporary = ".captioner-*.tmp"

// Option changes how a file is written.
type Option int

// NoSync leaves it to the system when the content reaches the disk. It is for many small files that can be made again:
// a hundred thousand syncs take hours. After a power cut, such a file can be empty.
const NoSync Option = 1

// File is a file that is being written. Exactly one of Commit and Abort takes effect; Abort after Commit does nothing,
// so it can be deferred. A File is not safe for concurrent use.
type File struct {
	path   string // as the caller names it
	target string // where its links lead
	temp   *os.File
	buffer *bufio.Writer
	sync   bool
	ended  bool
}

// Create begins a file that will stand at path after Commit. It refuses at once what Commit would refuse.
func Create(path string, options ...Option) (*File, error) {
	f := &File{path: path, sync: true}
	for _, o := range options {
		if o == NoSync {
			f.sync = false
		}
	}
	target, old, err := resolve(path)
	if err != nil {
		return nil, f.fail(err)
	}
	f.target = target
	mode := fs.FileMode(0o666)
	if old != nil {
		mode = old.Mode().Perm() // content that others may not read is not theirs to read while it is written
	}
	if f.temp, err = createTemp(filepath.Dir(target), mode); err != nil {
		return nil, f.fail(err)
	}
	f.buffer = bufio.NewWriterSize(f.temp, 1<<16)
	return f, nil
}

// WriteFile writes the file at path with what write gives. When anything fails, or write panics, path keeps what it
// held. An error of write is wrapped.
func WriteFile(path string, write func(io.Writer) error, options ...Option) error {
	f, err := Create(path, options...)
	if err != nil {
		return err
	}
	defer f.Abort()
	if err := write(f); err != nil {
		return &weights.FileError{Doing: "write", File: path, Err: err}
	}
	return f.Commit()
}

// Write adds to the content.
func (f *File) Write(b []byte) (int, error) {
	n, err := f.buffer.Write(b)
	if err != nil {
		err = weights.Reason(err) // names the temporary file
	}
	return n, err
}

// Commit puts the content in place. When it fails, the target keeps what it held.
func (f *File) Commit() error {
	if f.ended {
		return f.fail(fs.ErrClosed)
	}
	defer f.Abort()
	if err := f.buffer.Flush(); err != nil {
		return f.fail(err)
	}
	if err := replace(f.temp, f.target, f.sync); err != nil {
		return f.fail(err)
	}
	f.ended = true
	return nil
}

// Abort removes what was written, unless Commit was there before.
func (f *File) Abort() {
	if f.ended {
		return
	}
	f.ended = true
	f.temp.Close()
	os.Remove(f.temp.Name())
}

func (f *File) fail(err error) error { return fail(f.path, err) }

func fail(path string, err error) error {
	var target *TargetError
	if errors.As(err, &target) {
		return err // it names the path
	}
	return &weights.FileError{Doing: "write", File: path, Err: weights.Reason(err)}
}

// Replace syncs a file that the caller wrote and puts it in the place of path, by the rules of Commit. It closes the
// file in any case. The file must lie in the folder of Target(path): a rename does not cross file systems.
func Replace(written *os.File, path string) error {
	defer written.Close()
	target, _, err := resolve(path)
	if err == nil {
		err = replace(written, target, true)
	}
	if err != nil {
		return fail(path, err)
	}
	return nil
}

// replace renames the open file over target, which resolve returned some time ago, and closes it.
func replace(written *os.File, target string, sync bool) error {
	old, err := os.Lstat(target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case !old.Mode().IsRegular(): // something else took the name meanwhile
		return &TargetError{Path: target, Found: foundAt(old)}
	default:
		if err := writable(target); err != nil {
			return err
		}
		if err := keepOwner(written, old); err != nil {
			return err
		}
		if err := written.Chmod(old.Mode().Perm()); err != nil { // after the owner, as the umask was taken off
			return err
		}
	}
	if sync {
		if err := written.Sync(); err != nil {
			return err
		}
	}
	if err := written.Close(); err != nil {
		return err
	}
	if err := os.Rename(written.Name(), target); err != nil {
		return err
	}
	if sync {
		syncFolder(filepath.Dir(target))
	}
	return nil
}

// createTemp creates a file of a new temporary name. Unlike os.CreateTemp it leaves the mode to the umask.
func createTemp(folder string, mode fs.FileMode) (*os.File, error) {
	var r [8]byte
	rand.Read(r[:])
	name := filepath.Join(folder, ".captioner-"+hex.EncodeToString(r[:])+".tmp")
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
}

// syncFolder makes the new name durable. Some systems cannot sync a folder; the content is safe there all the same.
func syncFolder(folder string) {
	if d, err := os.Open(folder); err == nil {
		d.Sync()
		d.Close()
	}
}
