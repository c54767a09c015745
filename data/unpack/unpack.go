// Package unpack reads files that are compressed with gzip, bzip2, xz or Zstandard as if they were not. The format is
// told by the first bytes. What is not compressed passes as it is.
//
// Memory is bounded whatever a file claims: 64 MiB for xz, as its strongest preset takes, and 128 MiB for Zstandard.
package unpack

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"
)

const (
	maxDictionary = 64 << 20  // bytes, of xz
	maxWindow     = 128 << 20 // bytes, of Zstandard
)

// Reader reads unpacked bytes. It must be closed; the reader below it is not closed.
type Reader struct {
	Format string // "gzip", "bzip2", "xz" or "Zstandard"; "" for bytes that are not compressed

	unpacked io.Reader
	close    func()
}

// formats are known by the bytes that they begin with.
var formats = []struct {
	name, magic string
	open        func(r io.Reader) (unpacked io.Reader, close func(), err error)
}{
	{"gzip", "\x1f\x8b", openGzip},
	{"bzip2", "BZh", func(r io.Reader) (io.Reader, func(), error) { return bzip2.NewReader(r), nil, nil }},
	{"xz", "\xfd7zXZ\x00", openXZ},
	{"Zstandard", "\x28\xb5\x2f\xfd", openZstandard},
}

func openGzip(r io.Reader) (io.Reader, func(), error) {
	z, err := gzip.NewReader(r)
	return z, nil, err
}

func openXZ(r io.Reader) (io.Reader, func(), error) {
	z, err := xz.NewReader(r, maxDictionary)
	return z, nil, err
}

func openZstandard(r io.Reader) (io.Reader, func(), error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, nil, err
	}
	return z, z.Close, nil
}

// NewReader looks at the first bytes of r. It fails where the beginning is that of a compressed file, but broken.
func NewReader(r io.Reader) (*Reader, error) {
	b := bufio.NewReaderSize(r, 1<<16)
	format := formatOf(b)
	for _, f := range formats {
		if f.name != format {
			continue
		}
		unpacked, closer, err := f.open(b)
		if err != nil {
			return nil, &Error{f.name, err}
		}
		return &Reader{f.name, unpacked, closer}, nil
	}
	return &Reader{unpacked: b}, nil
}

// formatOf names the format that the bytes are in, "" for none. It waits for no more bytes than tell it: plain text may
// come line by line.
func formatOf(b *bufio.Reader) string {
	for n := 1; n <= 10; n++ {
		head, err := b.Peek(n)
		var possible []string
		for _, f := range formats {
			if k := min(len(head), len(f.magic)); string(head[:k]) == f.magic[:k] {
				possible = append(possible, f.name)
			}
		}
		switch {
		case len(possible) == 0 || err != nil:
			return ""
		case possible[0] == "bzip2" && n < 10: // "BZh" may begin a word
		case possible[0] == "bzip2" && !bytes.Equal(head[3:], bzip2Block(head[3])):
			return ""
		case len(head) >= magicSize(possible[0]):
			return possible[0]
		}
	}
	return ""
}

// bzip2Block is what follows "BZh": the level, and the mark of a block.
func bzip2Block(level byte) []byte {
	const block = "\x31\x41\x59\x26\x53\x59"
	if level < '1' || level > '9' {
		return []byte("\x00")
	}
	return append([]byte{level}, block...)
}

func magicSize(format string) int {
	for _, f := range formats {
		if f.name == format {
			return len(f.magic)
		}
	}
	return 0
}

// Read gives unpacked bytes. A damaged file gives an *Error.
func (r *Reader) Read(b []byte) (int, error) {
	n, err := r.unpacked.Read(b)
	if err != nil && err != io.EOF && r.Format != "" {
		err = &Error{r.Format, err}
	}
	return n, err
}

// Close frees what unpacking takes.
func (r *Reader) Close() error {
	if r.close != nil {
		r.close()
	}
	return nil
}

// Error says that a compressed file cannot be unpacked.
type Error struct {
	Format string
	Err    error
}

func (e *Error) Error() string {
	if errors.Is(e.Err, io.ErrUnexpectedEOF) {
		return fmt.Sprintf("unpack %s: the file ends too early", e.Format)
	}
	return fmt.Sprintf("unpack %s: %v", e.Format, e.Err)
}

// Unwrap returns what is wrong.
func (e *Error) Unwrap() error { return e.Err }

// The extensions of compressed files, and those that stand for a compressed tar file.
var (
	extensions    = []string{".gz", ".bz2", ".xz", ".zst"}
	tarExtensions = []string{".tgz", ".tbz", ".tbz2", ".txz", ".tzst"}
)

// IsTar says by its name, in any case, whether a file is a tar file, and whether it is a compressed one.
func IsTar(name string) (tar, packed bool) {
	name = strings.ToLower(name)
	extension := path.Ext(name)
	switch {
	case extension == ".tar":
		return true, false
	case slices.Contains(tarExtensions, extension):
		return true, true
	case slices.Contains(extensions, extension):
		packed := path.Ext(strings.TrimSuffix(name, extension)) == ".tar"
		return packed, packed
	}
	return false, false
}

// archiveExtensions are those of archives of other formats than tar.
var archiveExtensions = []string{".zip", ".7z", ".rar", ".cbz", ".cbr", ".cb7", ".cbt", ".ar", ".cpio", ".jar", ".lzh",
	".tlz", ".taz"}

// IsArchive says by its name, in any case, whether a file is an archive of files, of any format.
func IsArchive(name string) bool {
	if tar, _ := IsTar(name); tar {
		return true
	}
	name = strings.ToLower(name)
	if inner := strings.TrimSuffix(name, path.Ext(name)); inner != name && path.Ext(inner) == ".tar" {
		return true // packed in some way: x.tar.lz4
	}
	return slices.Contains(archiveExtensions, path.Ext(name))
}
