package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// sidecars writes a picture's caption into a file beside it: photo.jpg -> photo.txt. The picture itself is never touched.
type sidecars struct {
	extension string // ".txt"
	existing  string // skip, overwrite, append or prepend
	render    func(*result) string
}

// policies are the words of --existing.
var policies = []string{"skip", "overwrite", "append", "prepend"}

func (s *sidecars) path(picture string) string {
	return strings.TrimSuffix(picture, filepath.Ext(picture)) + s.extension
}

// skips says whether the picture needs no caption, because it has a sidecar that shall stay.
func (s *sidecars) skips(picture string) bool {
	if s.existing != "skip" {
		return false
	}
	_, err := os.Lstat(s.path(picture))
	return err == nil
}

func (s *sidecars) write(r *result) error {
	path := s.path(r.path)
	text := s.render(r) + "\n"
	if s.existing == "append" || s.existing == "prepend" {
		old, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("read sidecar %q: %w", path, reason(err))
		}
		if body := strings.TrimRight(string(old), "\n"); body != "" && s.existing == "append" {
			text = body + "\n" + text
		} else if body != "" {
			text += body + "\n"
		}
	}
	if err := replaceFile(path, []byte(text)); err != nil {
		return fmt.Errorf("write sidecar %q: %w", path, reason(err))
	}
	return nil
}

// replaceFile puts b under a name whole or not at all. It does not wait for the disk, unlike weights.WriteFile: a hundred thousand sidecars
// would take hours, and each can be made again.
func replaceFile(path string, b []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".captioner-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(b)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
