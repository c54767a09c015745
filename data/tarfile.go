package data

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"sync"

	"captioner/data/image"
	"captioner/data/record"
	"captioner/data/text"
	"captioner/data/unpack"
)

// tarMagic stands at byte 257 of a tar file.
const tarMagic = "ustar"

// IsTar says by its content, or by the name of one of before 1988, whether a file is a tar file, compressed or not.
func IsTar(path string) (bool, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return false, nil // a pipe is read once, by whom it is for
	}
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	r, err := unpack.NewReader(f)
	if err != nil {
		return false, &RecordError{File: path, Err: err}
	}
	defer r.Close()
	head := make([]byte, 512)
	n, _ := io.ReadFull(r, head) // what is wrong with it is for its reader to say
	named, _ := unpack.IsTar(path)
	return n > 262 && string(head[257:262]) == tarMagic || named && n == len(head), nil
}

// tarFile is one archive.
type tarFile struct {
	path     string
	mu       sync.Mutex
	unpacked *os.File // what a compressed archive holds, in a file without a name; nil before it is read
}

// open returns the bytes of the archive, unpacked, and their number. Close ends what must end.
func (s *tarFile) open() (bytes io.ReaderAt, size int64, close func() error, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unpacked != nil {
		info, err := s.unpacked.Stat()
		if err != nil {
			return nil, 0, nil, err
		}
		return s.unpacked, info.Size(), func() error { return nil }, nil
	}
	f, err := os.Open(s.path)
	if err != nil {
		return nil, 0, nil, err
	}
	r, err := unpack.NewReader(f)
	if err == nil && r.Format != "" {
		defer f.Close()
		defer r.Close()
		size, err = s.unpack(r)
		return s.unpacked, size, func() error { return nil }, err
	}
	info, err2 := f.Stat()
	if err = errors.Join(err, err2); err != nil {
		f.Close()
		return nil, 0, nil, err
	}
	return f, info.Size(), f.Close, nil
}

// unpack fills a temporary file, which no name leads to any more.
func (s *tarFile) unpack(r io.Reader) (int64, error) {
	f, err := os.CreateTemp("", "captioner-*.tar")
	if err != nil {
		return 0, err
	}
	os.Remove(f.Name())
	n, err := io.Copy(f, r)
	if err != nil {
		f.Close()
		return 0, err
	}
	s.unpacked = f
	return n, nil
}

// span is where a member's bytes stand in an archive.
type span struct{ offset, size int64 }

// tarReader goes through one archive and gives its examples.
type tarReader struct {
	archive *tarFile
	found   *record.Tally
	yield   func(Example, error) bool

	bytes   io.ReaderAt
	size    int64
	members map[string]span // those that were seen, for links
	key     string          // of the members that are being gathered
	whole   *part           // named by the key
	dotted  []*part         // of names with more dots
}

// part is an image with its captions under one name.
type part struct {
	name     string
	image    Example
	text     []string // of .txt or .caption
	fromJSON []string
}

func (p *part) captions() []string {
	if p.text != nil {
		return p.text
	}
	return p.fromJSON
}

// read gives the examples of the archive and returns whether more are wanted.
func (r *tarReader) read() bool {
	bytes, size, closer, err := r.archive.open()
	if err != nil {
		return r.yield(Example{}, r.fail("", err))
	}
	defer closer()
	r.bytes, r.size, r.members = bytes, size, map[string]span{}
	section := io.NewSectionReader(bytes, 0, size)
	members := tar.NewReader(section) // reads no more than it gives: where section stands, the member begins
	for {
		header, err := members.Next()
		if err == io.EOF {
			return r.flush()
		}
		if err != nil {
			return r.flush() && r.yield(Example{}, r.fail("", fmt.Errorf("after %q: %w", r.key, err)))
		}
		offset, err := section.Seek(0, io.SeekCurrent)
		more := true
		if err == nil {
			more, err = r.member(header, offset)
		}
		if err != nil && more {
			more = r.yield(Example{}, r.fail(fmt.Sprintf("member %q", header.Name), err))
		}
		if !more {
			return false
		}
	}
}

func (r *tarReader) fail(where string, err error) error {
	return &RecordError{File: r.archive.path, Record: where, Err: err}
}

// left notes a member that is left out.
func (r *tarReader) left(name, why string) { r.found.Add(r.archive.path+":"+name, "left out: "+why) }

// member takes one member of the archive, whose bytes begin at offset. It returns whether more are wanted.
func (r *tarReader) member(header *tar.Header, offset int64) (bool, error) {
	name := path.Clean(header.Name)
	if header.Typeflag == tar.TypeDir {
		return true, nil
	}
	if strings.HasPrefix(path.Base(name), ".") {
		r.left(name, "its name begins with a dot")
		return true, nil
	}
	if _, twice := r.members[name]; twice {
		r.left(name, "the archive has another member of that name before it")
		return true, nil
	}
	bytes, why, err := r.find(header, name, offset)
	if err != nil || why != "" {
		if why != "" {
			r.left(name, why)
		}
		return true, err
	}
	r.members[name] = bytes
	key, extension := cutKey(name)
	if key != r.key {
		if !r.flush() {
			return false, nil
		}
		r.key = key
	}
	return true, r.add(name, key, extension, bytes)
}

// find returns where the bytes of a member are, following a link, or why it is left out.
func (r *tarReader) find(header *tar.Header, name string, offset int64) (bytes span, why string, err error) {
	target := path.Clean(header.Linkname)
	switch header.Typeflag {
	case tar.TypeReg:
		if header.Size > r.size-offset {
			left := r.size - offset
			return bytes, "", fmt.Errorf("found %d bytes to the end of the archive, want %d", left, header.Size)
		}
		for name := range header.PAXRecords {
			if strings.HasPrefix(name, "GNU.sparse") {
				return bytes, "", errors.New("found a sparse file, want a plain one")
			}
		}
		return span{offset, header.Size}, "", nil
	case tar.TypeSymlink:
		target = path.Join(path.Dir(name), header.Linkname)
		fallthrough
	case tar.TypeLink:
		if bytes, ok := r.members[target]; ok {
			return bytes, "", nil
		}
		return bytes, "it is a link to what does not stand before it in the archive", nil
	case tar.TypeGNUSparse:
		return bytes, "", errors.New("found a sparse file, want a plain one")
	}
	return bytes, "it is no file", nil
}

// cutKey splits a member's name at the first dot of its last part. The extension is in lower case.
func cutKey(name string) (key, extension string) {
	folder, base := path.Split(name)
	base, extension, _ = strings.Cut(base, ".")
	return folder + base, strings.ToLower(extension)
}

// part returns the part of this name, which may be new.
func (r *tarReader) part(name string) *part {
	if name == r.key {
		if r.whole == nil {
			r.whole = &part{name: name}
		}
		return r.whole
	}
	for _, p := range r.dotted {
		if p.name == name {
			return p
		}
	}
	r.dotted = append(r.dotted, &part{name: name})
	return r.dotted[len(r.dotted)-1]
}

// add puts a member to the others of its name.
func (r *tarReader) add(name, key, extension string, bytes span) error {
	if i := strings.LastIndexByte(extension, '.'); i >= 0 { // a.v1.jpg
		key, extension = name[:len(name)-len(extension)+i], extension[i+1:]
	}
	switch {
	case image.HasExtension("." + extension):
		p := r.part(key)
		if p.image.Path != "" {
			return fmt.Errorf("found a second image of %q, want one", key)
		}
		p.image = Example{ID: key, Path: name, Archive: r.archive.path, offset: bytes.offset, size: bytes.size}
		if r.archive.unpacked != nil {
			p.image.unpacked = r.bytes
		}
		return nil
	case extension == "txt" || extension == "caption":
		content, err := r.text(name, bytes)
		p := r.part(key)
		p.text = append(p.text, captionLines(content)...)
		return err
	case extension == "json":
		content, err := r.text(name, bytes)
		if err != nil {
			return err
		}
		captions, err := captionsInJSON(content)
		p := r.part(key)
		p.fromJSON = append(p.fromJSON, captions...)
		return err
	}
	r.left(name, fmt.Sprintf("a member named .%s is neither an image nor captions", extension))
	return nil
}

// captionsInJSON are those of an object; none where it holds something else.
func captionsInJSON(content string) ([]string, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(content), &object); err != nil {
		return nil, record.NoEOF(err)
	}
	captions, err := record.Captions(record.Member(object, record.CaptionNames))
	if err != nil {
		return nil, nil // metadata of another kind
	}
	for i, c := range captions {
		captions[i] = record.Trim(c)
	}
	return captions, nil
}

// text reads a member that must be short.
func (r *tarReader) text(name string, bytes span) (string, error) {
	if bytes.size > maxCaptionFile {
		return "", fmt.Errorf("found %d bytes, want captions of %d at most", bytes.size, maxCaptionFile)
	}
	b := make([]byte, bytes.size)
	if _, err := r.bytes.ReadAt(b, bytes.offset); err != nil && err != io.EOF {
		return "", err
	}
	d, err := text.Parse(b)
	if err != nil {
		return "", err
	}
	if what := record.Taken(d.Encoding); what != "" {
		r.found.Add(r.archive.path+":"+name, what)
	}
	return d.Text, nil
}

// flush gives what was gathered under one key, and returns whether more is wanted.
func (r *tarReader) flush() bool {
	whole, dotted := r.whole, r.dotted
	r.whole, r.dotted = nil, nil
	if whole != nil && !r.give(whole) {
		return false
	}
	for _, p := range dotted {
		switch {
		case p.image.Path == "":
			r.left(p.name, "captions without an image")
		case p.captions() == nil: // seg.png beside jpg is another kind of image
			r.left(p.image.Path, "an image with several dots in its name, and no captions of the same name")
		default:
			r.found.Add(r.archive.path+":"+p.image.Path, "paired by its name up to the last dot, not to the first")
			if !r.give(p) {
				return false
			}
		}
	}
	return true
}

func (r *tarReader) give(p *part) bool {
	if p.image.Path == "" {
		if p.captions() != nil {
			r.left(p.name, "captions without an image")
		}
		return true
	}
	p.image.Captions = p.captions()
	return r.yield(p.image, nil)
}
