package data

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"captioner/data/image"
)

// WebDataset reads tar files in which the members of one example stand together under one name: 000001.jpg and
// 000001.txt or 000001.caption (a caption a line) or 000001.json (with "caption" or "captions"). Shards is a path, a
// pattern such as train-*.tar, or has a range as in train-{000..127}.tar. The ids are the names without what follows the
// first dot. The pictures stay in the archives; [Example.Bytes] reads them from there. Archives must not be compressed,
// since no member could be found again in one that is.
func WebDataset(shards string) (Source, error) {
	files, err := expand(shards)
	if err != nil {
		return nil, err
	}
	return func(yield func(Example, error) bool) {
		for _, file := range files {
			if !readShard(file, yield) {
				return
			}
		}
	}, nil
}

var numberRange = regexp.MustCompile(`\{([0-9]{1,9})\.\.([0-9]{1,9})\}`)

// maxShards bounds a range, so that a slip of the hand does not make a list of a thousand million names.
const maxShards = 1_000_000

// Ranges writes out the ranges of a pattern: a-{08..10}.tar is a-08.tar, a-09.tar, a-10.tar, as in a shell. A pattern without one is itself.
func Ranges(pattern string) ([]string, error) {
	m := numberRange.FindStringSubmatchIndex(pattern)
	if m == nil {
		return []string{pattern}, nil
	}
	from, to := pattern[m[2]:m[3]], pattern[m[4]:m[5]]
	first, _ := strconv.Atoi(from) // at most nine digits
	last, _ := strconv.Atoi(to)
	if last < first || last-first >= maxShards {
		return nil, fmt.Errorf("found the range %s to %s, want it ascending and below %d", from, to, maxShards)
	}
	rest, err := Ranges(pattern[m[1]:])
	if err != nil {
		return nil, err
	}
	if (last-first+1)*len(rest) > maxShards {
		return nil, fmt.Errorf("found more than %d files, want fewer", maxShards)
	}
	var names []string
	for n := first; n <= last; n++ {
		for _, r := range rest {
			names = append(names, fmt.Sprintf("%s%0*d%s", pattern[:m[0]], len(from), n, r))
		}
	}
	return names, nil
}

// expand lists the files that a pattern means, in natural order.
func expand(pattern string) ([]string, error) {
	names, err := Ranges(pattern)
	if err != nil {
		return nil, fmt.Errorf("shards %q: %w", pattern, err)
	}
	var all []string
	for _, name := range names {
		if _, err := os.Stat(name); err == nil {
			all = append(all, name)
			continue
		}
		files, err := filepath.Glob(name)
		if err != nil {
			return nil, fmt.Errorf("shards %q: %w", name, err)
		}
		if len(files) == 0 {
			return nil, &os.PathError{Op: "open", Path: name, Err: os.ErrNotExist}
		}
		slices.SortFunc(files, naturalCompare)
		all = append(all, files...)
	}
	return all, nil
}

// A sample gathers the members of one example.
type sample struct {
	key      string
	image    Example
	text     []string // of .txt or .caption
	fromJSON []string
}

// readShard gives the examples of one archive and returns whether more are wanted.
func readShard(file string, yield func(Example, error) bool) bool {
	f, err := os.Open(file)
	if err != nil {
		return yield(Example{}, err)
	}
	defer f.Close()
	var (
		archive = tar.NewReader(f) // reads no more of f than it gives: where f stands, the member begins
		current sample
		flush   = func() bool {
			e := current.image
			if e.Path == "" {
				return true // no picture: other kinds of data may stand in the same shard
			}
			if e.Captions = current.text; e.Captions == nil {
				e.Captions = current.fromJSON
			}
			return yield(e, nil)
		}
	)
	for {
		header, err := archive.Next()
		if err == io.EOF {
			return flush()
		}
		if err != nil {
			return flush() && yield(Example{}, &RecordError{File: file, Err: fmt.Errorf("after %q: %w", current.key, compressed(f, err))})
		}
		if header.Typeflag != tar.TypeReg || strings.HasPrefix(path.Base(header.Name), ".") {
			continue
		}
		key, extension := cutKey(header.Name)
		if key != current.key {
			if !flush() {
				return false
			}
			current = sample{key: key}
		}
		if err := current.add(f, archive, header, file, extension); err != nil {
			if !yield(Example{}, &RecordError{file, fmt.Sprintf("member %q", header.Name), err}) {
				return false
			}
		}
	}
}

// compressed says of an archive that is gzip that this is why it cannot be read.
func compressed(f *os.File, err error) error {
	var head [2]byte
	if _, e := f.ReadAt(head[:], 0); e == nil && head == [2]byte{0x1f, 0x8b} {
		return errors.New("the archive is compressed, want a plain tar: unpack it with gunzip")
	}
	return err
}

// cutKey splits a member's name at the first dot of its last part. The extension is in lower case.
func cutKey(name string) (key, extension string) {
	folder, base := path.Split(path.Clean(name))
	base, extension, _ = strings.Cut(base, ".")
	return folder + base, strings.ToLower(extension)
}

func (s *sample) add(f *os.File, r io.Reader, header *tar.Header, file, extension string) error {
	switch {
	case image.HasExtension("."+extension) && !strings.Contains(extension, "."): // "seg.png" is a picture of another kind
		offset, err := f.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		info, err := f.Stat()
		switch {
		case err != nil:
			return err
		case s.image.Path != "":
			return fmt.Errorf("found a second picture of %q, want one", s.key)
		case header.Size > info.Size()-offset:
			return fmt.Errorf("found %d bytes to the end of the archive, want %d", info.Size()-offset, header.Size)
		}
		for name := range header.PAXRecords {
			if strings.HasPrefix(name, "GNU.sparse") {
				return errors.New("found a sparse file, want a plain one")
			}
		}
		s.image = Example{ID: s.key, Path: header.Name, Archive: file, offset: offset, size: header.Size}
	case extension == "txt" || extension == "caption":
		text, err := readCaption(r, header)
		s.text = append(s.text, captionLines(string(text))...)
		return err
	case extension == "json":
		text, err := readCaption(r, header)
		if err != nil {
			return err
		}
		var record map[string]json.RawMessage
		if err := json.Unmarshal(text, &record); err != nil {
			return noEOF(err)
		}
		captions, err := recordCaptions(member(record, captionNames))
		if err != nil {
			return nil // metadata of another kind
		}
		for _, c := range captions {
			s.fromJSON = append(s.fromJSON, trim(c))
		}
	}
	return nil
}

// readCaption reads a member that must be short.
func readCaption(r io.Reader, header *tar.Header) ([]byte, error) {
	if header.Size > maxCaptionFile {
		return nil, fmt.Errorf("found %d bytes, want captions of %d at most", header.Size, maxCaptionFile)
	}
	return io.ReadAll(r)
}
