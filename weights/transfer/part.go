package transfer

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"

	"captioner/weights/atomicfile"
)

// What the names of files on their way end with.
const (
	PartSuffix       = ".part"
	noteSuffix       = ".part.json"
	IncompleteSuffix = ".incomplete" // where the name tells the content, as huggingface_hub has it
)

// Part is a file on its way: PATH.part, and PATH.part.json with what is needed to go on after a cut.
type Part struct {
	path      string // without the suffix
	byContent bool   // see File
	f         *os.File
	size      int64
	note      note
}

// File is the path of what has come so far.
func (p *Part) File() string {
	if p.byContent {
		return p.path + IncompleteSuffix
	}
	return p.path + PartSuffix
}

// note says of which file a part is. A part of another one is thrown away.
type note struct {
	URL       string `json:"url"`
	Want      string `json:"want,omitempty"`      // its checksum, if somebody vouches for one: "sha256:…"
	Validator string `json:"validator,omitempty"` // for If-Range: a strong entity tag or a date
}

// openPart opens or begins the part of a file. The caller holds the lock of its folder.
func openPart(path string, j *transfer) (*Part, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return nil, err
	}
	p := &Part{path: path, byContent: j.file.ByContent}
	f, err := os.OpenFile(p.File(), os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	p.f = f
	if p.size, err = f.Seek(0, io.SeekEnd); err != nil {
		f.Close()
		return nil, err
	}
	if p.byContent {
		p.note = note{URL: j.file.URL, Want: j.want.String()}
		return p, nil
	}
	b, err := os.ReadFile(path + noteSuffix)
	known := err == nil && json.Unmarshal(b, &p.note) == nil && p.note.URL == j.file.URL
	// Without a checksum or a validator nothing says that the server still has the same file.
	if !known || j.want.None() && p.note.Want == "" && p.note.Validator == "" {
		err = p.reset(note{URL: j.file.URL})
	} else {
		err = nil
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return p, nil
}

// reset throws away what there is and writes down of which file the rest will be.
func (p *Part) reset(n note) error {
	p.size, p.note = 0, n
	if err := p.f.Truncate(0); err != nil {
		return err
	}
	if _, err := p.f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if p.byContent {
		return nil
	}
	b, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return atomicfile.WriteFile(p.path+noteSuffix, func(w io.Writer) error {
		_, err := w.Write(append(b, '\n'))
		return err
	})
}

// write adds bytes at the end.
func (p *Part) write(b []byte) error {
	n, err := p.f.Write(b)
	p.size += int64(n)
	return err
}

// Finish gives the whole file its name.
func (p *Part) Finish(target string) error {
	err := p.f.Sync()
	if cerr := p.f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(p.File(), target)
	}
	if err == nil {
		if !p.byContent {
			os.Remove(p.path + noteSuffix) // alone it says nothing
		}
		syncFolder(filepath.Dir(target))
	}
	return err
}

// Close leaves the part for the next time.
func (p *Part) Close() error { return p.f.Close() }

// Remove throws the part away.
func (p *Part) Remove() error {
	p.f.Close()
	err := os.Remove(p.File())
	if p.byContent {
		return err
	}
	return errors.Join(err, os.Remove(p.path+noteSuffix))
}

// syncFolder makes a new name durable, where the system can.
func syncFolder(dir string) {
	if d, err := os.Open(dir); err == nil {
		d.Sync()
		d.Close()
	}
}
