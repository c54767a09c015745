package store

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"captioner/weights/atomicfile"
	"captioner/weights/transfer"
)

// fetchMembers fetches an archive, keeps the members that the manifest names, and throws the rest away.
func (s *Store) fetchMembers(ctx context.Context, e Entry) (Result, error) {
	dir := s.folder(e)
	f := fileOf(e, e.Files[0], dir)
	p, _, err := s.client.Download(ctx, f, filepath.Join(dir, e.Files[0].Name))
	if err != nil {
		return Result{}, err
	}
	z, err := zip.OpenReader(p.File())
	if err != nil {
		p.Remove()
		return Result{}, s.client.Fault(f, &Error{Err: ErrFormat, Detail: fmt.Sprintf("found no zip archive: %v", err),
			Remedy: "see " + e.Origin})
	}
	defer z.Close()
	r := Result{Name: e.Name, Path: s.target(e), Fetched: true}
	for _, m := range e.Members {
		to := s.memberPath(e, m)
		if err := unpack(&z.Reader, m, to); err != nil {
			p.Close()
			if errors.Is(err, ErrChecksum) || errors.Is(err, fs.ErrNotExist) {
				return Result{}, s.client.Fault(f, &Error{Err: ErrChecksum, Detail: strings.Join(strings.Fields(err.Error()), " "),
					Remedy: "the archive holds another file than when the manifest was written: see " + e.Origin})
			}
			return Result{}, s.client.DiskError(f, to, err)
		}
		r.Files = append(r.Files, Found{Path: to, Bytes: m.Size, SHA256: m.SHA256, Checked: "sha256"})
	}
	if err := p.Remove(); err != nil {
		return Result{}, s.client.DiskError(f, dir, err)
	}
	return r, nil
}

// unpack writes a member of an archive whose content must be the one that the manifest knows.
func unpack(z *zip.Reader, m Member, to string) error {
	f, err := z.Open(m.From)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
		return err
	}
	var wrong error
	err = atomicfile.WriteFile(to, func(w io.Writer) error {
		h := sha256.New()
		// no more than it should have, whatever it claims
		n, err := io.Copy(io.MultiWriter(w, h), io.LimitReader(f, m.Size+1))
		if err != nil {
			return err
		}
		if sum := hex.EncodeToString(h.Sum(nil)); sum != m.SHA256 {
			wrong = &transfer.DamagedError{Path: m.From, Got: sha256Of(sum), Want: sha256Of(m.SHA256), Size: n}
		}
		return wrong
	})
	if wrong != nil {
		return wrong
	}
	return err
}
