package encoder

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"captioner/weights"
)

// maxText bounds the descriptions that are read whole: the largest, tokenizer.json, takes a few megabytes.
const maxText = 64 << 20

// Folder is the text files beside a checkpoint's weights: config.json and the like. Read gives fs.ErrNotExist for a
// file that is not there.
type Folder interface {
	Read(name string) ([]byte, error)
}

// Dir is the Folder at a path.
type Dir string

// Read reads a file of at most 64 MB, without a byte order mark. What a download has left in its place is a
// ForeignError.
func (d Dir) Read(name string) ([]byte, error) {
	path := filepath.Join(string(d), name)
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxText+1))
	if err == nil && len(b) > maxText {
		err = fmt.Errorf("read %q: found more than %d MB, want a description", path, maxText>>20)
	}
	if what := weights.Stray(b); err == nil && what != "" {
		err = &ForeignError{Found: name + " to be " + what, Want: "the file itself", Remedy: "fetch or copy it again"}
	}
	return bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")), err
}

// inner is a folder in whose config.json another network is described.
type inner struct {
	Folder
	config []byte
}

// Inner is the folder of a network that is described by a section of another's config.json.
func Inner(outer Folder, config []byte) Folder { return inner{outer, config} }

// Read gives the section for config.json, and the outer folder's files for other names.
func (f inner) Read(name string) ([]byte, error) {
	if name == "config.json" {
		return f.config, nil
	}
	return f.Folder.Read(name)
}

// ReadJSON reads a JSON file of a folder into v. A file that is not there gives fs.ErrNotExist.
func ReadJSON(f Folder, name string, v any) error {
	b, err := f.Read(name)
	if err != nil {
		return err
	}
	var kind *json.UnmarshalTypeError
	switch err := json.Unmarshal(b, v); {
	case errors.As(err, &kind):
		if kind.Field == "" {
			return fmt.Errorf("read %s: found JSON of type %s, want an object", name, kind.Value)
		}
		return fmt.Errorf("read %s: found a %s as %s, want %v", name, kind.Value, kind.Field, kind.Type)
	case err != nil:
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

// ReadOptional is ReadJSON, but a file that is not there changes nothing.
func ReadOptional(f Folder, name string, v any) error {
	if err := ReadJSON(f, name, v); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
