package output

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strings"

	"captioner/cli/console"
	"captioner/data/image"
)

// samples is a webdataset: a tar in which each image stands beside its caption as text and, with all that is known of
// it, as JSON. The files of a sample share a name up to the first dot.
type samples struct{ lines jsonLines }

func (*samples) Begin(io.Writer) error { return nil }
func (*samples) Resume()               {}

// End writes what ends a tar: two blocks of zeros.
func (*samples) End(w io.Writer) error { _, err := w.Write(make([]byte, 1024)); return err }

// Write writes the sample of one image.
func (s *samples) Write(w io.Writer, r *Result) error {
	var text strings.Builder
	for _, c := range r.captions() {
		text.WriteString(c.Text + "\n")
	}
	if !s.lines.Many {
		text.Reset()
		text.WriteString(r.Caption.Text)
	}
	about, err := console.MarshalJSON(s.lines.line(r))
	if err != nil {
		return err
	}
	key := sampleKey(r.Path)
	return writeSample(w, []sampleFile{{key + imageExtension(r), r.Data}, {key + ".txt", []byte(text.String())},
		{key + ".json", about}})
}

// sampleFile is one file of a sample.
type sampleFile struct {
	name string
	data []byte
}

// writeSample writes the same bytes for the same files: the time is left out.
func writeSample(w io.Writer, files []sampleFile) error {
	t := tar.NewWriter(w) // never closed: its end is the format's end
	for _, f := range files {
		if err := t.WriteHeader(&tar.Header{Name: f.name, Size: int64(len(f.data)), Mode: 0o644,
			Typeflag: tar.TypeReg}); err != nil {
			return fmt.Errorf("write tar: %w", err)
		}
		if _, err := t.Write(f.data); err != nil {
			return err
		}
	}
	return t.Flush()
}

// imageExtension is the image's own, or where its name has none, that of its format.
func imageExtension(r *Result) string {
	if image.HasExtension(r.Path) || image.HasRawExtension(r.Path) {
		return strings.ToLower(filepath.Ext(r.Path))
	}
	if f := image.Format(r.Data); f != "JPEG" {
		return "." + strings.ToLower(f)
	}
	return ".jpg"
}

// sampleKey makes a sample's name of an image's path: below the root, without what leads upwards, and with no dot but
// for the image's .jpg, which is left out. Different paths give different names.
func sampleKey(p string) string {
	p = strings.TrimSuffix(path.Clean("/" + filepath.ToSlash(p))[1:], ".jpg")
	return strings.NewReplacer("%", "%25", ".", "%2E").Replace(p)
}

// sampleReader reads back what samples writes.
func sampleReader(r io.Reader) func() (unit, error) {
	t := tar.NewReader(r)
	var ahead *sampleFile
	next := func() (*sampleFile, error) {
		if f := ahead; f != nil {
			ahead = nil
			return f, nil
		}
		h, err := t.Next()
		if err != nil {
			return nil, err
		}
		b, err := io.ReadAll(io.LimitReader(t, image.MaxFileBytes))
		return &sampleFile{h.Name, b}, err
	}
	key := func(f *sampleFile) string {
		dir, base := path.Split(f.name)
		stem, _, _ := strings.Cut(base, ".")
		return dir + stem
	}
	return func() (unit, error) {
		first, err := next()
		if err != nil {
			return unit{}, err
		}
		files := []sampleFile{*first}
		for {
			f, err := next()
			if err == io.EOF {
				break
			}
			if err != nil {
				return unit{}, err
			}
			if key(f) != key(first) {
				ahead = f
				break
			}
			files = append(files, *f)
		}
		var text bytes.Buffer
		if err := writeSample(&text, files); err != nil {
			return unit{}, err
		}
		for _, f := range files {
			if strings.HasSuffix(f.name, ".json") {
				p, err := jsonPath(f.data)
				return unit{p, text.Bytes()}, err
			}
		}
		return unit{}, fmt.Errorf("sample %q: %w", key(first), errors.New("it has no .json"))
	}
}
