package output

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"captioner/cli/console"
	"captioner/data/sidecar"
	"captioner/data/text"
	"captioner/weights/atomicfile"
)

// Sidecars writes an image's caption into a file beside it: photo.jpg -> photo.txt. The image itself is never touched.
type Sidecars struct {
	Extension string // ".txt"
	Existing  string // skip, overwrite, append or prepend
	Render    func(*Result) string

	finder sidecar.Finder
}

// Policies are the words of --existing.
var Policies = []string{"skip", "overwrite", "append", "prepend"}

// path is the sidecar of an image: one that is there, whatever the case of its name, or the new one.
func (s *Sidecars) path(image string) string {
	path := sidecar.Path(image, s.Extension)
	if like, ok := s.finder.Like(image, path); ok {
		return like
	}
	return path
}

// Skips says whether the image needs no caption, because it has a sidecar that shall stay.
func (s *Sidecars) Skips(image string) bool {
	if s.Existing != "skip" {
		return false
	}
	_, err := os.Lstat(s.path(image))
	return err == nil
}

// Write writes the caption of an image. What is appended or prepended is in the encoding of what is there.
func (s *Sidecars) Write(r *Result) error {
	path := s.path(r.Path)
	caption := s.Render(r)
	content := []byte(caption + "\n")
	if s.Existing == "append" || s.Existing == "prepend" {
		old, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("read sidecar %q: %w", path, console.Reason(err))
		}
		if content, err = s.join(old, caption); err != nil {
			return fmt.Errorf("write sidecar %q: %w", path, err)
		}
		if content == nil {
			return nil
		}
	}
	put := func(w io.Writer) error { _, err := w.Write(content); return err }
	// Nobody waits for the disk: a hundred thousand sidecars would take hours, and each can be made again.
	return atomicfile.WriteFile(path, put, atomicfile.NoSync)
}

// join puts a caption to the text that is there; nil where it stands there already: a run that was killed had come to
// this image before.
func (s *Sidecars) join(old []byte, caption string) ([]byte, error) {
	d, err := text.Parse(old)
	if err != nil {
		return nil, err
	}
	there := "\n" + strings.Trim(strings.ReplaceAll(d.Text, "\r\n", "\n"), "\n") + "\n"
	lines := strings.Split(caption, "\n")
	switch wanted := "\n" + caption + "\n"; {
	case s.Existing == "append" && strings.HasSuffix(there, wanted),
		s.Existing == "prepend" && strings.HasPrefix(there, wanted):
		return nil, nil
	case s.Existing == "append":
		return d.Append(lines...)
	}
	return d.Prepend(lines...)
}
