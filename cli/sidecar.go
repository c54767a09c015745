package cli

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io"
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
		switch body := strings.TrimRight(string(old), "\n") + "\n"; {
		case body == "\n":
		case s.existing == "append" && (body == text || strings.HasSuffix(body, "\n"+text)), s.existing == "prepend" && strings.HasPrefix(body, text):
			return nil // a run that was killed had come to this picture before
		case s.existing == "append":
			text = body + text
		default:
			text += body
		}
	}
	if err := replaceFile(path, []byte(text)); err != nil {
		return fmt.Errorf("write sidecar %q: %w", path, reason(err))
	}
	return nil
}

// replaceFile puts b under a name whole or not at all. It does not wait for the disk, unlike atomicfile.WriteFile: a hundred thousand sidecars
// would take hours, and each can be made again. What a kill leaves half written has a name that the next run takes for the same file.
func replaceFile(path string, b []byte) (err error) {
	h := fnv.New64a()
	io.WriteString(h, filepath.Base(path))
	temporary := filepath.Join(filepath.Dir(path), fmt.Sprintf(".captioner-%016x", h.Sum64()))
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		os.Remove(temporary)
	}
	return err
}
