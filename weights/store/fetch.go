package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// Result is an entry that is here.
type Result struct {
	Name    string  `json:"name"`
	Path    string  `json:"path"`    // of the file, or of the folder where there are several
	Fetched bool    `json:"fetched"` // false: it was here
	Files   []Found `json:"files"`
}

// Found is a file of a Result.
type Found struct {
	Path   string `json:"path"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
	// Checked says by what the content was checked: "sha256", "git" (the hub's SHA-1), "md5" or "crc32c" (the server's,
	// which tell damage but not malice), "record" (the SHA-256 of when it was fetched), or "length" where nobody says
	// more.
	Checked string `json:"checked"`
}

// Fetch makes an entry available and returns where it lies. What is here is checked again and not fetched; a fetch that
// was cut goes on. When another process is fetching the same, it waits for that. A context that ends leaves the part
// that has come, for the next time.
//
// Errors are *Error for what the network or the disk did, *UnknownError for a name, and the context's.
func (s *Store) Fetch(ctx context.Context, name string) (Result, error) {
	e, err := Find(name)
	if err != nil {
		return Result{}, err
	}
	return s.fetch(ctx, e)
}

func (s *Store) fetch(ctx context.Context, e Entry) (Result, error) {
	if s.cachedAsIs(e) {
		return s.recheck(e)
	}
	unlock, err := s.lock(ctx, e)
	if err != nil {
		return Result{}, err
	}
	defer unlock()
	switch {
	case s.cachedAsIs(e): // by who had the lock
		return s.recheck(e)
	case e.Repo != "":
		return s.fetchHub(ctx, e)
	case len(e.Members) > 0:
		return s.fetchMembers(ctx, e)
	}
	return s.fetchFile(ctx, e)
}

func (s *Store) cachedAsIs(e Entry) bool {
	_, ok := s.cached(e)
	return ok
}

// lock keeps other processes from fetching the same entry at the same time.
func (s *Store) lock(ctx context.Context, e Entry) (func(), error) {
	path := filepath.Join(s.folder(e), "."+e.Files[0].Name+".lock")
	if e.Repo != "" {
		path = s.layout.lock(e.Repo)
	}
	fail := func(err error) error {
		return &settingError{fmt.Errorf("fetch %q: lock %q: %w", e.Name, path, reason(err)),
			"set CAPTIONER_CACHE (HF_HOME for models of the hub) to a folder that can be written"}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return nil, fail(err)
	}
	l := flock.New(path, flock.SetPermissions(0o666)) // of a cache that several people may share
	ok, err := l.TryLock()
	if err == nil && !ok {
		s.notice("%s: another process is fetching it: waiting", e.Name)
		_, err = l.TryLockContext(ctx, 100*time.Millisecond)
	}
	if ctx.Err() != nil {
		l.Close()
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, fail(err)
	}
	// the file stays: who waits for it must not be left with a lock on a name that is gone
	return func() { l.Close() }, nil
}

// fetchFile fetches an entry of one file.
func (s *Store) fetchFile(ctx context.Context, e Entry) (Result, error) {
	target := s.target(e)
	j := newTransfer(s, e, e.Files[0], target)
	p, out, err := j.download(ctx, target)
	if err != nil {
		return Result{}, err
	}
	if e.Files[0].SHA256 == "" {
		if err := j.checkFormat(p); err != nil {
			return Result{}, err
		}
		if err := writeRecord(target, out.sum); err != nil {
			p.f.Close()
			return Result{}, j.diskError(target, err)
		}
	}
	if err := p.finish(target); err != nil {
		return Result{}, j.diskError(target, err)
	}
	return Result{e.Name, target, true, []Found{{target, out.size, out.sum, out.checked}}}, nil
}

func newTransfer(s *Store, e Entry, f File, target string) *transfer {
	j := &transfer{store: s, entry: e, file: f, url: f.URL, mirror: f.mirror, target: target}
	if f.SHA256 != "" {
		j.want = digest{"sha256", f.SHA256}
	}
	return j
}

// checkFormat looks into a file that nobody vouches for, before it gets its name.
func (j *transfer) checkFormat(p *part) error {
	if j.store.o.Check == nil {
		return nil
	}
	format := "pytorch"
	if filepath.Ext(j.file.Name) == ".safetensors" {
		format = "safetensors"
	}
	if err := j.store.o.Check(p.path+partSuffix, format); err != nil {
		p.remove()
		return j.fail(&Error{Err: ErrFormat, Detail: fmt.Sprintf("found no %s file: %v", format, err),
			hint: "nothing was kept: the address may lead to something else by now; see " + j.entry.Origin})
	}
	return nil
}

// recheck reads what is here: a file that was damaged since, or put there by hand, must not be taken for what it is
// not.
func (s *Store) recheck(e Entry) (Result, error) {
	path, _ := s.cached(e)
	r := Result{Name: e.Name, Path: path}
	add := func(file, want, checked string) error {
		f, err := found(file, want, checked)
		if err != nil {
			return fmt.Errorf("check %q: %w", e.Name, err)
		}
		r.Files = append(r.Files, f)
		return nil
	}
	switch {
	case e.Repo != "":
		for _, f := range e.Files {
			file := filepath.Join(path, f.Name)
			want := blobDigest(file)
			if err := add(file, want.String(), want.kind); err != nil {
				return r, err
			}
		}
	case len(e.Members) > 0:
		for _, m := range e.Members {
			if err := add(s.memberPath(e, m), "sha256:"+m.SHA256, "sha256"); err != nil {
				return r, err
			}
		}
	case e.Files[0].SHA256 != "":
		return r, add(path, "sha256:"+e.Files[0].SHA256, "sha256")
	default:
		if sum := readRecord(path); sum != "" {
			return r, add(path, "sha256:"+sum, "record")
		}
		return r, add(path, "", "length")
	}
	return r, nil
}

// found checks a file that is here against a digest as digest.String writes it, or "" for none.
func found(path, want, checked string) (Found, error) {
	d := digest{}
	if want != "" {
		d.kind, d.hex, _ = strings.Cut(want, ":")
	}
	sum, got, err := digests(path, d)
	if err != nil {
		return Found{}, fmt.Errorf("read %q: %w", path, reason(err))
	}
	info, err := os.Stat(path)
	if err != nil {
		return Found{}, fmt.Errorf("read %q: %w", path, reason(err))
	}
	if !d.none() && got != d {
		return Found{}, &damagedError{path: path, got: got, want: d, size: info.Size()}
	}
	if d.none() {
		checked = "length"
	}
	return Found{path, info.Size(), sum, checked}, nil
}
