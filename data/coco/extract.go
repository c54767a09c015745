package coco

import (
	"bufio"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	"captioner/weights/atomicfile"
	"captioner/weights/store"
)

// A stretch is members that stand one after the other in an archive, to be fetched over one connection.
type stretch struct{ members []member }

// stretchSize is how many bytes a connection is asked for at once.
const stretchSize = 32 << 20

// stretches parts what is to be fetched; bytes of members that are here already are not fetched, unless there are few
// between two others.
func stretches(missing []member, size int64) []stretch {
	const gap = 1 << 18
	var out []stretch
	for _, m := range missing {
		if n := len(out); n > 0 {
			s := &out[n-1]
			if last := s.members[len(s.members)-1]; m.offset-last.end <= gap && m.end-s.members[0].offset <= size {
				s.members = append(s.members, m)
				continue
			}
		}
		out = append(out, stretch{[]member{m}})
	}
	return out
}

// damage is a member that did not come as the directory says; it is fetched again by itself.
type damage struct {
	member member
	err    error
}

// fetch reads a stretch and writes its members as they pass; done is told of each that is whole. An error is one of the
// network or the disk: what came before it stays.
func (s stretch) fetch(
	ctx context.Context, r *store.Remote, write writer, done func(member),
) (bad []damage, err error) {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	pr, pw := io.Pipe()
	read := make(chan error, 1)
	go func() {
		err := r.Read(inner, s.members[0].offset, s.members[len(s.members)-1].end, func(b []byte) error {
			_,
				err := pw.Write(b)
			return err
		})
		pw.CloseWithError(err)
		read <- err
	}()
	bad, whole, err := s.unpack(pr, write, done)
	pr.Close()
	cancel()
	broken := <-read
	switch {
	case err != nil || whole:
		return bad, err
	case ctx.Err() != nil:
		return bad, ctx.Err()
	case broken == nil:
		broken = io.ErrUnexpectedEOF
	}
	return bad, broken
}

// unpack writes the members of a stream. whole says whether it came to the last one's end; err is the disk's.
func (s stretch) unpack(stream io.Reader, write writer, done func(member)) (bad []damage, whole bool, err error) {
	body := bufio.NewReaderSize(stream, 1<<16)
	at := s.members[0].offset
	for _, m := range s.members {
		if _, err := io.CopyN(io.Discard, body, m.offset-at); err != nil {
			return bad, false, nil
		}
		room := &counter{r: io.LimitReader(body, m.end-m.offset)}
		failed := m.extract(room, write)
		var disk *diskError
		if errors.As(failed, &disk) {
			return bad, false, failed
		}
		_, err := io.Copy(io.Discard, room) // a descriptor, what is left of a damaged one
		if at = m.offset + room.n; err != nil || at < m.end {
			return bad, false, nil // the stream broke: the member is not to blame
		}
		if failed != nil {
			bad = append(bad, damage{m, failed})
		} else {
			done(m)
		}
	}
	return bad, true, nil
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

// writer keeps a member's content, which is good when read to its end without an error.
type writer func(m member, r io.Reader) error

// extract reads a member from its header on.
func (m member) extract(r io.Reader, write writer) error {
	var h [headerSize]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return fmt.Errorf("read its header: %w", err)
	}
	if le.Uint32(h[:]) != headerMagic {
		return errors.New("found no header where the directory has it")
	}
	name := make([]byte, le.Uint16(h[26:]))
	if _, err := io.ReadFull(r, name); err != nil {
		return fmt.Errorf("read its header: %w", err)
	}
	if string(name) != m.name {
		return fmt.Errorf("found the header of %q", name)
	}
	if _, err := io.CopyN(io.Discard, r, int64(le.Uint16(h[28:]))); err != nil {
		return fmt.Errorf("read its header: %w", err)
	}
	packed := io.LimitReader(r, m.packed)
	c := &checked{want: m}
	switch m.method {
	case storing:
		c.r = packed
	case deflate:
		z := flate.NewReader(bufio.NewReader(packed))
		defer z.Close()
		c.r = z
	default:
		return fmt.Errorf("found compression method %d, want 0 or 8", m.method)
	}
	return write(m, c)
}

// checked compares size and CRC with the directory's when it comes to the end.
type checked struct {
	r    io.Reader
	want member
	crc  uint32
	n    int64
}

func (c *checked) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.crc = crc32.Update(c.crc, crc32.IEEETable, b[:n])
	if c.n += int64(n); c.n > c.want.size {
		return n, fmt.Errorf("found more than %d bytes", c.want.size)
	}
	if err == io.EOF && c.n != c.want.size {
		return n, fmt.Errorf("found %d bytes, want %d", c.n, c.want.size)
	}
	if err == io.EOF && c.crc != c.want.crc {
		return n, fmt.Errorf("found CRC %08x, want %08x", c.crc, c.want.crc)
	}
	return n, err
}

// diskError is a failure of the disk here: no other member would do better.
type diskError struct{ error }

func (e *diskError) Unwrap() error { return e.error }

// intoFolder writes members below a folder, each under a temporary name until it is whole. The caller syncs.
func intoFolder(folder string) writer {
	return func(m member, r io.Reader) error {
		path := filepath.Join(folder, filepath.FromSlash(m.name))
		f, err := atomicfile.Create(path, atomicfile.NoSync)
		if err != nil {
			return &diskError{err}
		}
		defer f.Abort()
		w := &diskWriter{f: f}
		_, err = io.Copy(w, r)
		if w.err != nil {
			return &diskError{w.err}
		}
		if err != nil {
			return err
		}
		if err := f.Commit(); err != nil {
			return &diskError{err}
		}
		return nil
	}
}

// diskWriter remembers its own errors, to tell them from those of what it copies.
type diskWriter struct {
	f   *atomicfile.File
	err error
}

func (w *diskWriter) Write(b []byte) (int, error) {
	n, err := w.f.Write(b)
	if err != nil {
		w.err = err
	}
	return n, err
}

// here says whether a member is in the folder already, whole.
func here(folder string, m member) bool {
	f, err := os.Open(filepath.Join(folder, filepath.FromSlash(m.name)))
	if err != nil {
		return false
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() != m.size {
		return false
	}
	h := crc32.NewIEEE()
	_, err = io.Copy(h, f)
	return err == nil && h.Sum32() == m.crc
}
