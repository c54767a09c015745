package input

import (
	"archive/tar"
	"archive/zip"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"captioner/cli/console"
	"captioner/data/image"
	"captioner/data/unpack"
	"captioner/weights"
)

// maxMember is the size up to which an image in an archive is read, unpacked. Those of a compressed tar file wait in
// memory for their turn, all others on the disk.
const (
	maxMember = 256 << 20
	maxWaits  = 64 << 20
)

// archiveKind is ".tar", ".zip" or ".parquet" by a file's name; "" for any other file. A tar file may be compressed,
// and a comic book is a .zip.
func archiveKind(name string) string {
	if tar, _ := unpack.IsTar(name); tar {
		return ".tar"
	}
	switch ext := strings.ToLower(filepath.Ext(name)); ext {
	case ".zip", ".parquet":
		return ext
	case ".cbz":
		return ".zip"
	}
	return ""
}

// archived is an image in an archive: where its bytes stand. It keeps nothing open, so that any number of them may
// wait.
type archived struct {
	*container
	offset, size int64 // size as it is in the image
	packed       int64 // size as it is in the archive
	deflated     bool
	sum          uint32 // CRC-32 of the image; only of a .zip
	checked      bool
}

// container is the file of an archive: at its path, or fetched.
type container struct {
	path  string
	stamp Stamp
	held  *os.File // of an archive that was fetched, which has no name: it goes when nobody refers to it any more
}

// file opens the archive. Who has read it calls done.
func (c *container) file() (f *os.File, done func(), err error) {
	if c.held != nil {
		return c.held, func() {}, nil
	}
	if f, err = os.Open(c.path); err != nil {
		return nil, nil, weights.Reason(err)
	}
	info, err := f.Stat()
	if err == nil && StampOf(info) != c.stamp {
		err = errors.New("the archive changed while it was read")
	}
	if err != nil {
		f.Close()
		return nil, nil, weights.Reason(err)
	}
	return f, func() { f.Close() }, nil
}

// open reads the image.
func (m archived) open(context.Context) (_ []byte, err error) {
	f, done, err := m.file()
	if err != nil {
		return nil, err
	}
	defer done()
	raw := io.NewSectionReader(f, m.offset, m.packed)
	if !m.deflated {
		return m.whole(raw)
	}
	// A bomb unpacks to anything but an image: look at its beginning first.
	var head [16]byte
	r := flate.NewReader(raw)
	n, err := io.ReadFull(r, head[:])
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, unpacked(err)
	}
	if m.size > 1<<20 && image.Format(head[:n]) == "" {
		return nil, fmt.Errorf("unpack: %d bytes that start with %q are no image", m.size, head[:n])
	}
	return m.whole(io.MultiReader(strings.NewReader(string(head[:n])), r))
}

// whole reads exactly the bytes that the archive promises.
func (m archived) whole(r io.Reader) ([]byte, error) {
	b := make([]byte, m.size)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, unpacked(err)
	}
	if m.deflated {
		if n, _ := r.Read(make([]byte, 1)); n > 0 {
			return nil, fmt.Errorf("unpack: more than the %d bytes that the archive says", m.size)
		}
	}
	if m.checked && crc32.ChecksumIEEE(b) != m.sum {
		return nil, errors.New("unpack: the checksum does not match: the archive is damaged")
	}
	return b, nil
}

func unpacked(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the archive ends before the image does")
	}
	return fmt.Errorf("unpack: %w", err)
}

// archive lists the images in an archive in its own order. Their paths are the archive's, a slash, and the name in
// it.
func (in Inputs) archive(file string, seen *census, yield func(Input) bool) bool {
	if in.closed {
		seen.images++
		return yield(Input{Path: file})
	}
	info, err := os.Stat(file)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("it is a %s, want a file", weights.FileKind(info.Mode()))
	}
	if err != nil {
		return yield(failed(file, weights.Reason(err)))
	}
	return in.opened(file, &container{path: file, stamp: StampOf(info)}, info.Size(), seen, yield)
}

// opened lists the images in an archive of this size that is shown as file.
func (in Inputs) opened(file string, c *container, size int64, seen *census, yield func(Input) bool) bool {
	a := archive{file: file, container: c, size: size, flat: !in.Recursive, counting: in.Counting,
		passed: in.Passed, seen: seen, yield: yield, in: in}
	if in.Counting {
		a.passed = nil
	}
	f, done, err := c.file()
	if err != nil {
		return yield(failed(file, err))
	}
	defer done()
	switch archiveKind(file) {
	case ".zip":
		err = a.zip(f)
	case ".parquet":
		err = a.parquet(f)
	default:
		err = a.tar(f)
	}
	if err != nil && !a.stopped {
		return yield(failed(file, err))
	}
	return !a.stopped
}

// archive is one archive being listed.
type archive struct {
	*container
	file     string
	in       Inputs // gets what a table names by address
	size     int64
	flat     bool // leave out what is in folders
	counting bool // nobody will open what is listed
	passed   *Passed
	seen     *census
	yield    func(Input) bool
	stopped  bool                // yield wants no more
	members  map[string]archived // the images of a tar file that were seen; empty ones of a compressed one
}

// slashed is a name in an archive with "/" between folders, where Windows writes "\".
func slashed(name string) string { return strings.ReplaceAll(name, `\`, "/") }

// wants says whether a name in the archive is one to caption, and in what form.
func (a *archive) wants(name string) (string, bool) {
	name = strings.TrimPrefix(slashed(name), "./")
	a.seen.files++
	parts := strings.Split(name, "/")
	hidden := func(s string) bool { return strings.HasPrefix(s, ".") && s != ".." && s != "." || s == "__MACOSX" }
	if a.flat && len(parts) > 1 || slices.ContainsFunc(parts, hidden) {
		return name, false
	}
	if !image.HasExtension(name) && !image.HasRawExtension(name) {
		a.passed.member(a.file, name)
		return name, false
	}
	a.seen.images++
	return name, true
}

// give hands on one image, or says what is wrong with it.
func (a *archive) give(name string, size int64, open func(context.Context) ([]byte, error), err error) bool {
	in := Input{Path: a.file + "/" + name, Key: filepath.Base(a.file) + "/" + name, Open: open,
		Stamp: Stamp{size, a.stamp.time}}
	switch {
	case err != nil:
	case !filepath.IsLocal(name):
		err = errors.New("its name leads out of the archive")
	case size > maxMember:
		err = fmt.Errorf("%d bytes, limit %d", size, maxMember)
	}
	if err != nil {
		in.Err, in.Open = &Failure{"read image", in.Path, err}, nil
	}
	a.stopped = !a.yield(in)
	return !a.stopped
}

func (a *archive) zip(file *os.File) error {
	z, err := zip.NewReader(file, a.size)
	if err != nil {
		return fmt.Errorf("read the archive: %w", weights.Reason(err))
	}
	var packed uint64
	for _, f := range z.File {
		if packed += f.CompressedSize64; packed > uint64(a.size) {
			return errors.New("read the archive: its files lie over each other, as in a zip bomb")
		}
	}
	for _, f := range z.File {
		if f.FileInfo().IsDir() {
			continue
		}
		name, ok := a.wants(f.Name)
		if !ok {
			continue
		}
		m := archived{container: a.container, size: int64(f.UncompressedSize64), packed: int64(f.CompressedSize64),
			sum: f.CRC32, checked: true, deflated: f.Method == zip.Deflate}
		switch {
		case !f.Mode().IsRegular():
			err = console.WithHint(fmt.Errorf("it is a %s, want a file", weights.FileKind(f.Mode())), "unpack the archive first")
		case f.Flags&1 != 0:
			err = console.WithHint(errors.New("it is encrypted"), "unpack the archive with its password first")
		case f.Method != zip.Store && f.Method != zip.Deflate:
			err = console.WithHint(fmt.Errorf("it is packed by method %d, want 0 (stored) or 8 (deflate)", f.Method),
				"unpack the archive first")
		// deflate makes at most 1032 bytes of one
		case f.Method == zip.Store && m.size != m.packed || m.size > 1100*m.packed+1024:
			err = fmt.Errorf("unpack: %d bytes in the archive cannot be the %d that it says", m.packed, m.size)
		default:
			m.offset, err = f.DataOffset()
		}
		if !a.give(name, m.size, m.open, err) {
			return nil
		}
	}
	return nil
}

func (a *archive) tar(f *os.File) error {
	r, err := unpack.NewReader(f)
	if err != nil {
		return fmt.Errorf("read the archive: %w", err)
	}
	defer r.Close()
	a.members = map[string]archived{}
	packed := r.Format != ""
	t := tar.NewReader(r)
	if !packed { // archive/tar reads no further than a header: where f stands, the member begins
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return weights.Reason(err)
		}
		t = tar.NewReader(f)
	}
	for {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			if errors.Is(err, io.ErrUnexpectedEOF) {
				err = errors.New("it ends in the middle of a file")
			}
			return fmt.Errorf("read the archive: %w", err)
		}
		if h.Typeflag == tar.TypeDir {
			continue
		}
		name, ok := a.wants(h.Name)
		if !ok {
			continue
		}
		if open, err := a.body(h, name, f, t, packed); !a.give(name, h.Size, open, err) {
			return nil
		}
	}
}

// body finds the bytes of the file that t stands at: where they are, or where they cannot be found again, the bytes
// themselves.
func (a *archive) body(h *tar.Header, name string, f *os.File, t *tar.Reader,
	packed bool) (func(context.Context) ([]byte, error), error) {
	if _, twice := a.members[name]; twice {
		return nil, errors.New("the archive has another file of that name before it")
	}
	switch {
	case h.Typeflag == tar.TypeLink, h.Typeflag == tar.TypeSymlink:
		return a.linked(h, name, packed)
	case h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeGNUSparse:
		return nil, errors.New("it is no file")
	}
	a.members[name] = archived{}
	switch {
	case a.counting:
		return nil, nil
	case packed && h.Size > maxWaits:
		return nil, console.WithHint(fmt.Errorf("%d bytes, limit %d in a packed archive", h.Size, maxWaits),
			"unpack the archive to a .tar first")
	case packed:
		b, err := readImage(t, h.Size)
		if err != nil {
			return nil, err
		}
		return func(context.Context) ([]byte, error) { return b, nil }, nil
	case h.Typeflag == tar.TypeGNUSparse || h.PAXRecords["GNU.sparse.major"] != "" ||
		h.PAXRecords["GNU.sparse.size"] != "":
		return nil, console.WithHint(errors.New("it is stored as a sparse file"), "unpack the archive first")
	}
	at, err := f.Seek(0, io.SeekCurrent)
	if err == nil && h.Size > a.size-at {
		err = errors.New("the archive ends before the image does")
	}
	m := archived{container: a.container, offset: at, size: h.Size, packed: h.Size}
	a.members[name] = m
	return m.open, err
}

// readImage reads size bytes, but no more than a beginning that is of no image: a bomb unpacks to anything else.
func readImage(r io.Reader, size int64) ([]byte, error) {
	const small = 1 << 20
	head := make([]byte, min(size, 16))
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, unpacked(err)
	}
	if size > small && image.Format(head) == "" {
		return nil, fmt.Errorf("unpack: %d bytes that start with %q are no image", size, head)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(r, b[copy(b, head):]); err != nil {
		return nil, unpacked(err)
	}
	return b, nil
}

// linked finds the file that a link in the archive leads to.
func (a *archive) linked(h *tar.Header, name string, packed bool) (func(context.Context) ([]byte, error), error) {
	target := path.Clean(slashed(h.Linkname))
	if h.Typeflag == tar.TypeSymlink {
		target = path.Join(path.Dir(name), slashed(h.Linkname))
	}
	m, ok := a.members[target]
	switch {
	case !ok:
		return nil, fmt.Errorf("it is a link to %q, which does not stand before it in the archive", h.Linkname)
	case a.counting:
		return nil, nil
	case packed:
		return nil, console.WithHint(fmt.Errorf("it is a link to %q in a packed archive", h.Linkname),
			"unpack the archive to a .tar first")
	}
	return m.open, nil
}
