package output

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"captioner/cli/console"
	"captioner/weights/atomicfile"
)

// Sidecars writes a picture's caption into a file beside it: photo.jpg -> photo.txt. The picture itself is never touched.
type Sidecars struct {
	Extension string // ".txt"
	Existing  string // skip, overwrite, append or prepend
	Render    func(*Result) string
}

// Policies are the words of --existing.
var Policies = []string{"skip", "overwrite", "append", "prepend"}

func (s *Sidecars) path(picture string) string {
	return strings.TrimSuffix(picture, filepath.Ext(picture)) + s.Extension
}

// Skips says whether the picture needs no caption, because it has a sidecar that shall stay.
func (s *Sidecars) Skips(picture string) bool {
	if s.Existing != "skip" {
		return false
	}
	_, err := os.Lstat(s.path(picture))
	return err == nil
}

func (s *Sidecars) Write(r *Result) error {
	path := s.path(r.Path)
	text := s.Render(r) + "\n"
	if s.Existing == "append" || s.Existing == "prepend" {
		old, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("read sidecar %q: %w", path, console.Reason(err))
		}
		switch body := strings.TrimRight(string(old), "\n") + "\n"; {
		case body == "\n":
		case s.Existing == "append" && (body == text || strings.HasSuffix(body, "\n"+text)), s.Existing == "prepend" && strings.HasPrefix(body, text):
			return nil // a run that was killed had come to this picture before
		case s.Existing == "append":
			text = body + text
		default:
			text += body
		}
	}
	// Nobody waits for the disk: a hundred thousand sidecars would take hours, and each can be made again.
	return atomicfile.WriteFile(path, func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	}, atomicfile.NoSync)
}
