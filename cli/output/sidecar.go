package output

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"captioner/cli/console"
	"captioner/cli/input"
	"captioner/data/sidecar"
	"captioner/data/text"
	"captioner/weights"
	"captioner/weights/atomicfile"
)

// Sidecars writes the caption of an image into a file beside it: photo.jpg -> photo.txt. The image itself is never
// touched. No two images of a run have one sidecar.
type Sidecars struct {
	Extension string // ".txt"
	Existing  string // one of Policies
	Names     string // one of SidecarNames
	Render    func(*Result) string
	Dry       func(string) // is told what would be written, and nothing is; nil writes

	finder  sidecar.Finder
	places  input.Places
	written map[input.ID]string // image of each sidecar of this run, where they could not be listed before
}

// Policies are the words of --existing.
var Policies = []string{"skip", "overwrite", "append", "prepend"}

// SidecarNames are the words of --sidecar-name: stem leaves the image's extension out, full keeps it.
var SidecarNames = []string{"stem", "full"}

// path is the sidecar of an image: one that is there, whatever the case of its name, or the new one.
func (s *Sidecars) path(image string) string {
	path := sidecar.Path(image, s.Extension)
	if s.Names == "full" {
		path = image + s.Extension
	}
	if like, ok := s.finder.Like(image, path); ok {
		return like
	}
	return path
}

// place is where a file is: two sidecars that have one place are one file, on some systems or on all.
func (s *Sidecars) place(path string) string { return placeOf(&s.places, path) }

// placeOf is where a file is that would be written, through links.
func placeOf(places *input.Places, path string) string {
	if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		if target, err := atomicfile.Target(path); err == nil {
			path = target
		}
	}
	return places.Of(input.Input{Path: path})
}

// key is the same for sidecars that are one file. Without the image's extension, names that differ in case alone count
// as the same: they are one file on many systems, and the images would be two.
func (s *Sidecars) key(image string) input.ID {
	place := s.place(s.path(image))
	if s.Names != "full" {
		place = strings.ToLower(place)
	}
	return input.IDOf(place, input.Stamp{})
}

// Check refuses images of which two have one sidecar, and a sidecar that is itself an image, or what else the command
// reads or writes: others are those files, with what the command line calls them.
func (s *Sidecars) Check(images iter.Seq[string], others map[string]string) error {
	keys, all := make(map[input.ID]struct{}), make(map[input.ID]struct{})
	other := make(map[string]string)
	for path, label := range others {
		other[s.place(path)] = label
	}
	for image := range images {
		key := s.key(image)
		if _, twice := keys[key]; twice {
			if first := s.first(images, key, image); first != "" {
				return s.collision(first, image)
			}
		}
		keys[key], all[s.id(image)] = struct{}{}, struct{}{}
	}
	for image := range images {
		beside := s.path(image)
		place := s.place(beside)
		if label, taken := other[place]; taken {
			return console.Usagef("give --sidecar another extension", "the sidecar %q of %q is %s", beside, image, label)
		}
		if _, taken := all[input.IDOf(place, input.Stamp{})]; taken {
			return console.Usagef("give --sidecar another extension", "the sidecar %q of %q is itself an image to caption",
				beside, image)
		}
	}
	return nil
}

func (s *Sidecars) id(image string) input.ID { return input.IDOf(s.place(image), input.Stamp{}) }

// first finds the image before another one that has the same sidecar; "" if all of them are that very image.
func (s *Sidecars) first(images iter.Seq[string], key input.ID, other string) string {
	for image := range images {
		if image == other {
			return ""
		}
		if s.key(image) == key && s.id(image) != s.id(other) {
			return image
		}
	}
	return ""
}

func (s *Sidecars) collision(a, b string) error {
	hint := "--sidecar-name full keeps the images' extensions: " + filepath.Base(a) + s.Extension
	if s.Names == "full" {
		hint = "give the images other names"
	}
	return console.Usagef(hint, "%q and %q would have one sidecar, %q", a, b, s.path(b))
}

// Follow makes Write refuse a sidecar that an earlier image of the run has: for images that cannot be listed before.
func (s *Sidecars) Follow() { s.written = make(map[input.ID]string) }

// claim notes whose sidecar it is that is written.
func (s *Sidecars) claim(image string) error {
	if s.written == nil {
		return nil
	}
	key := s.key(image)
	if first, taken := s.written[key]; taken && s.id(first) != s.id(image) {
		return s.collision(first, image)
	}
	s.written[key] = image
	return nil
}

// Skips says whether the image needs no caption, because it has a sidecar that shall stay.
func (s *Sidecars) Skips(image string) bool {
	if s.Existing != "skip" {
		return false
	}
	if s.isXMP() {
		return described(s.path(image))
	}
	_, err := os.Lstat(s.path(image))
	return err == nil
}

// Write writes the caption of an image. What is appended or prepended is in the encoding of what is there.
func (s *Sidecars) Write(r *Result) error {
	if err := s.claim(r.Path); err != nil {
		return err
	}
	if s.Skips(r.Path) { // it came to be meanwhile, or the caption was wanted for the image's metadata alone
		return nil
	}
	path := s.path(r.Path)
	if s.isXMP() {
		return s.mergeXMP(path, r)
	}
	caption := s.Render(r)
	content := []byte(caption + "\n")
	if s.Existing == "append" || s.Existing == "prepend" {
		old, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return &weights.FileError{Doing: "read sidecar", File: path, Err: weights.Reason(err)}
		}
		if content, err = s.join(old, caption); err != nil {
			return &weights.FileError{Doing: "write sidecar", File: path, Err: err}
		}
		if content == nil {
			return nil
		}
	}
	// Nobody waits for the disk: a hundred thousand sidecars would take hours, and each can be made again.
	return s.put(path, content, caption, atomicfile.NoSync)
}

// put writes a sidecar, or says that it would.
func (s *Sidecars) put(path string, content []byte, caption string, options ...atomicfile.Option) error {
	if s.Dry != nil {
		s.Dry(fmt.Sprintf("would write %q: %s", path, console.Visible(caption)))
		return nil
	}
	write := func(w io.Writer) error { _, err := w.Write(content); return err }
	return atomicfile.WriteFile(path, write, options...)
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
