package weights

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteFile writes a file so that path holds either what it held before or all of the new content: write fills a file of
// a temporary name in the same folder, which is synced and renamed. When anything fails, or write panics, nothing is left
// behind. A symbolic link is followed; a folder, a device or a pipe is refused. A new file gets mode 0666 less the umask,
// an existing one keeps its mode.
func WriteFile(path string, write func(io.Writer) error) error {
	if err := writeFile(path, write); err != nil {
		return fmt.Errorf("write %q: %w", path, err)
	}
	return nil
}

func writeFile(path string, write func(io.Writer) error) error {
	target, mode, err := writeTarget(path)
	if err != nil {
		return err
	}
	f, err := createTemp(target)
	if err != nil {
		return err
	}
	done := false
	defer func() {
		if !done {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	w := bufio.NewWriterSize(nameless{f}, 1<<18)
	if err := write(w); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return cause(err)
	}
	if mode != 0 {
		if err := f.Chmod(mode); err != nil {
			return cause(err)
		}
	}
	if err := f.Sync(); err != nil {
		return cause(err)
	}
	if err := f.Close(); err != nil {
		return cause(err)
	}
	if err := os.Rename(f.Name(), target); err != nil {
		return cause(err)
	}
	done = true
	syncFolder(filepath.Dir(target))
	return nil
}

// nameless is a file whose errors do not tell its temporary name.
type nameless struct{ f *os.File }

func (n nameless) Write(b []byte) (int, error) {
	k, err := n.f.Write(b)
	if err != nil {
		err = cause(err)
	}
	return k, err
}

// writeTarget resolves links and returns the mode of the file that is there, 0 when there is none.
func writeTarget(path string) (string, fs.FileMode, error) {
	target, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return path, 0, nil
	}
	if err != nil {
		return "", 0, cause(err)
	}
	info, err := os.Stat(target)
	if err != nil {
		return "", 0, cause(err)
	}
	if !info.Mode().IsRegular() {
		return "", 0, errors.New("not a regular file")
	}
	return target, info.Mode().Perm(), nil
}

// createTemp differs from os.CreateTemp in leaving the mode to the umask.
func createTemp(target string) (*os.File, error) {
	var r [6]byte
	rand.Read(r[:])
	name := filepath.Join(filepath.Dir(target), "."+filepath.Base(target)+"."+hex.EncodeToString(r[:])+".tmp")
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, cause(err)
	}
	return f, nil
}

// syncFolder makes the new name durable. Some systems cannot sync a folder; the content is safe there all the same.
func syncFolder(dir string) {
	if d, err := os.Open(dir); err == nil {
		d.Sync()
		d.Close()
	}
}

// cause drops the path of a file error: the message names the path that the caller knows, not the temporary one.
func cause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	var le *os.LinkError
	if errors.As(err, &le) {
		return le.Err
	}
	return err
}
