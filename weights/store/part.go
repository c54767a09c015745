package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"captioner/weights/atomicfile"
)

const (
	partSuffix = ".part"
	noteSuffix = ".part.json"
)

// part is a file on its way: PATH.part, and PATH.part.json with what is needed to go on after a cut.
type part struct {
	path string // without the suffix
	f    *os.File
	size int64
	note note
}

// note says of which file a part is. A part of another one is thrown away.
type note struct {
	URL       string `json:"url"`
	Want      string `json:"want,omitempty"`      // its checksum, if somebody vouches for one: "sha256:…"
	Validator string `json:"validator,omitempty"` // for If-Range: a strong entity tag or a date
}

// openPart opens or begins the part of a file. The caller holds the lock of its folder.
func openPart(path string, j *transfer) (*part, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path+partSuffix, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	p := &part{path: path, f: f}
	if p.size, err = f.Seek(0, io.SeekEnd); err != nil {
		f.Close()
		return nil, err
	}
	b, err := os.ReadFile(path + noteSuffix)
	known := err == nil && json.Unmarshal(b, &p.note) == nil && p.note.URL == j.url
	// Without a checksum or a validator nothing says that the server still has the same file.
	if !known || j.want.none() && p.note.Want == "" && p.note.Validator == "" {
		err = p.reset(note{URL: j.url})
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
func (p *part) reset(n note) error {
	p.size, p.note = 0, n
	if err := p.f.Truncate(0); err != nil {
		return err
	}
	if _, err := p.f.Seek(0, io.SeekStart); err != nil {
		return err
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
func (p *part) write(b []byte) error {
	n, err := p.f.Write(b)
	p.size += int64(n)
	return err
}

// finish gives the whole file its name.
func (p *part) finish(target string) error {
	err := p.f.Sync()
	if cerr := p.f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(p.path+partSuffix, target)
	}
	if err == nil {
		os.Remove(p.path + noteSuffix) // alone it says nothing
		syncFolder(filepath.Dir(target))
	}
	return err
}

// remove throws the part away.
func (p *part) remove() error {
	p.f.Close()
	return errors.Join(os.Remove(p.path+partSuffix), os.Remove(p.path+noteSuffix))
}

// syncFolder makes a new name durable, where the system can.
func syncFolder(dir string) {
	if d, err := os.Open(dir); err == nil {
		d.Sync()
		d.Close()
	}
}

// recordSuffix names the file beside one that nobody vouches for: its SHA-256 when it was fetched, as sha256sum writes
// it.
const recordSuffix = ".sha256"

func writeRecord(path, sum string) error {
	return atomicfile.WriteFile(path+recordSuffix, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s  %s\n", sum, filepath.Base(path))
		return err
	})
}

// readRecord returns the recorded checksum, or "" if there is none.
func readRecord(path string) string {
	b, err := os.ReadFile(path + recordSuffix)
	sum, _, ok := strings.Cut(string(b), " ")
	if err != nil || !ok || len(sum) != 64 {
		return ""
	}
	return sum
}
