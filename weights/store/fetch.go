package store

import (
	"context"
	"fmt"
	"path/filepath"

	"captioner/weights/hub"
	"captioner/weights/transfer"
)

// Result is an entry that is here.
type Result struct {
	Name    string  `json:"name"`
	Path    string  `json:"path"`    // of the file, or of the folder where there are several
	Fetched bool    `json:"fetched"` // false: it was here
	Files   []Found `json:"files"`
}

// Found is a file of a Result.
type Found = transfer.Found

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
		path = s.layout.Lock(e.Repo, "captioner")
	}
	return s.client.Lock(ctx, e.Name, path)
}

// fetchFile fetches an entry of one file.
func (s *Store) fetchFile(ctx context.Context, e Entry) (Result, error) {
	target := s.target(e)
	f := fileOf(e, e.Files[0], target)
	p, out, err := s.client.Download(ctx, f, target)
	if err != nil {
		return Result{}, err
	}
	if e.Files[0].SHA256 == "" {
		if err := s.checkFormat(f, p); err != nil {
			return Result{}, err
		}
		if err := writeRecord(target, out.Sum); err != nil {
			p.Close()
			return Result{}, s.client.DiskError(f, target, err)
		}
	}
	if err := p.Finish(target); err != nil {
		return Result{}, s.client.DiskError(f, target, err)
	}
	found := Found{Path: target, Bytes: out.Size, SHA256: out.Sum, Checked: out.Checked}
	return Result{e.Name, target, true, []Found{found}}, nil
}

// fileOf is a file of an entry as it is downloaded. Target is where the user could put it by hand.
func fileOf(e Entry, f File, target string) transfer.File {
	t := transfer.File{Entry: e.Name, Name: f.Name, URL: f.URL, Mirror: f.mirror, Origin: e.Origin,
		ByHand: byHand(e, target), Hub: e.Repo != ""}
	if f.SHA256 != "" {
		t.Want = transfer.Digest{Kind: "sha256", Hex: f.SHA256}
	}
	return t
}

// checkFormat looks into a file that nobody vouches for, before it gets its name.
func (s *Store) checkFormat(f transfer.File, p *transfer.Part) error {
	if s.o.Check == nil {
		return nil
	}
	format := "pytorch"
	if filepath.Ext(f.Name) == ".safetensors" {
		format = "safetensors"
	}
	if err := s.o.Check(p.File(), format); err != nil {
		p.Remove()
		return s.client.Fault(f, &Error{Err: ErrFormat, Detail: fmt.Sprintf("found no %s file: %v", format, err),
			Remedy: "nothing was kept: the address may lead to something else by now; see " + f.Origin})
	}
	return nil
}

// recheck reads what is here: a file that was damaged since, or put there by hand, must not be taken for what it is
// not.
func (s *Store) recheck(e Entry) (Result, error) {
	path, _ := s.cached(e)
	r := Result{Name: e.Name, Path: path}
	add := func(file string, want transfer.Digest, checked string) error {
		sum, size, err := transfer.Check(file, want)
		if err != nil {
			return fmt.Errorf("check %q: %w", e.Name, err)
		}
		if want.None() {
			checked = "length"
		}
		r.Files = append(r.Files, Found{Path: file, Bytes: size, SHA256: sum, Checked: checked})
		return nil
	}
	switch {
	case e.Repo != "":
		for _, f := range e.Files {
			file := filepath.Join(path, f.Name)
			want := hub.BlobDigest(file)
			if err := add(file, want, want.Kind); err != nil {
				return r, err
			}
		}
	case len(e.Members) > 0:
		for _, m := range e.Members {
			if err := add(s.memberPath(e, m), sha256Of(m.SHA256), "sha256"); err != nil {
				return r, err
			}
		}
	case e.Files[0].SHA256 != "":
		return r, add(path, sha256Of(e.Files[0].SHA256), "sha256")
	default:
		if sum := readRecord(path); sum != "" {
			return r, add(path, sha256Of(sum), "record")
		}
		return r, add(path, transfer.Digest{}, "length")
	}
	return r, nil
}

func sha256Of(hex string) transfer.Digest { return transfer.Digest{Kind: "sha256", Hex: hex} }
