package edit

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"captioner/data/sidecar"
	"captioner/data/text"
	"captioner/weights/atomicfile"
)

// MostSaves is how many captions one request may save.
const MostSaves = 1000

// Save is a caption to save.
type Save struct {
	Name    string `json:"name"`
	Caption string `json:"caption"`
	Version string `json:"version"` // of the file that the editor read
}

// Saved is what became of a Save.
type Saved struct {
	Name    string `json:"name"`
	File    string `json:"file,omitempty"`
	Version string `json:"version"`           // of the file now
	Note    string `json:"note,omitempty"`    // what is not as one might expect
	Error   string `json:"error,omitempty"`   // why nothing was written
	Current string `json:"current,omitempty"` // in a conflict, the caption that the file has now
	// Conflict says that the file is another than the one that the editor read: somebody else has written it.
	Conflict bool `json:"conflict,omitempty"`
}

// Save writes captions beside their images, each whole or not at all, and says of each what became of it.
func (f *Folder) Save(all []Save) []Saved {
	f.saving.Lock()
	defer f.saving.Unlock()
	var finder sidecar.Finder
	out := make([]Saved, len(all))
	for i, s := range all {
		out[i] = f.save(&finder, s)
	}
	return out
}

func (f *Folder) save(finder *sidecar.Finder, s Save) Saved {
	out := Saved{Name: s.Name, Version: s.Version}
	if _, err := f.check(s.Name); err != nil {
		out.Error = err.Error()
		return out
	}
	caption, err := cleaned(s.Caption)
	if err != nil {
		out.Error = err.Error()
		return out
	}
	c, err := f.caption(finder, s.Name)
	out.File = c.file
	switch {
	case err != nil:
		out.Error = err.Error()
		return out
	case c.version != s.Version:
		out.Conflict, out.Version, out.Current = true, c.version, c.text()
		out.Error = c.file + " was changed by another program"
		return out
	case c.text() == caption: // or neither a file nor a caption
		return out
	}
	b, note, err := render(c.document, caption)
	if err != nil {
		out.Error = err.Error()
		return out
	}
	write := func(w io.Writer) error { _, err := w.Write(b); return err }
	if err := f.put(c.file, write); err != nil {
		out.Error = err.Error()
		return out
	}
	out.Version, out.Note = versionOf(b), note
	return out
}

// put writes a file of the folder. Its folder is looked at again: a link that has taken its place leads elsewhere.
func (f *Folder) put(name string, write func(io.Writer) error) error {
	full := filepath.Join(f.path, filepath.FromSlash(name))
	real, err := filepath.EvalSymlinks(filepath.Dir(full))
	if err != nil || real != filepath.Dir(full) {
		return errors.New(name + ": its folder is a link or gone")
	}
	return atomicfile.WriteFile(full, write)
}

// cleaned is a caption as it is kept: without the end of its last line, with "\n" for the others.
func cleaned(caption string) (string, error) {
	caption = strings.ReplaceAll(strings.ReplaceAll(caption, "\r\n", "\n"), "\r", "\n")
	if len(caption) > maxText {
		return "", fmt.Errorf("the caption has %d bytes, want at most %d", len(caption), maxText)
	}
	if !utf8.ValidString(caption) || strings.ContainsFunc(caption, func(r rune) bool {
		return unicode.IsControl(r) && r != '\n' && r != '\t'
	}) {
		return "", errors.New("the caption holds control characters, want text")
	}
	return strings.TrimRight(caption, "\n"), nil
}

// render gives the bytes of a caption's file, in the encoding that it has, or in UTF-8 where that lacks a character.
func render(d *text.Document, caption string) (b []byte, note string, err error) {
	b, err = d.Replace(caption)
	var lacks *text.CharacterError
	if errors.As(err, &lacks) {
		note = "saved as UTF-8: " + lacks.Error()
		b, err = new(text.Document).Replace(caption)
	}
	return b, note, err
}
