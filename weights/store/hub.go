package store

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"captioner/weights/atomicfile"
	"captioner/weights/transfer"
)

// The hub's cache, as huggingface_hub documents it:
//
//	models--OWNER--NAME/blobs/TAG                the content, under its SHA-256 or git's name for it
//	models--OWNER--NAME/snapshots/COMMIT/FILE    a link to the blob
//	models--OWNER--NAME/refs/main                COMMIT

func hubName(repo string) string { return "models--" + strings.ReplaceAll(repo, "/", "--") }

// hubLayout finds and makes the paths of the hub's cache.
type hubLayout struct{ root string }

// folder is the folder of a model.
func (l hubLayout) folder(repo string) string { return filepath.Join(l.root, hubName(repo)) }

// lock is the file that keeps two processes from fetching one model at the same time.
func (l hubLayout) lock(repo string) string {
	return filepath.Join(l.root, ".locks", hubName(repo), "captioner.lock")
}

// part is where a file of the hub lies while it is fetched, less the suffix: its tag is not known before the hub has
// answered.
func (l hubLayout) part(e Entry, f File) string {
	return filepath.Join(l.folder(e.Repo), "blobs", "captioner-"+f.Name)
}

// snapshot finds a snapshot with all files of an entry: that of refs/main, else any.
func (l hubLayout) snapshot(e Entry) (string, bool) {
	for _, repo := range append([]string{e.Repo}, e.repos...) {
		dir := filepath.Join(l.folder(repo), "snapshots")
		var names []string
		if ref, err := os.ReadFile(filepath.Join(l.folder(repo), "refs", "main")); err == nil &&
			transfer.IsCommit(strings.TrimSpace(string(ref))) {
			names = append(names, strings.TrimSpace(string(ref)))
		}
		all, _ := os.ReadDir(dir) // a folder that is not there has no snapshots
		for _, d := range all {
			names = append(names, d.Name())
		}
		for _, name := range names {
			snapshot := filepath.Join(dir, name)
			if !slices.ContainsFunc(e.Files, func(f File) bool { return !regular(filepath.Join(snapshot, f.Name)) }) {
				return snapshot, true
			}
		}
	}
	return l.folder(e.Repo), false
}

// blobDigest is the checksum that a file of a snapshot has by the name of its blob.
func blobDigest(file string) transfer.Digest {
	to, err := filepath.EvalSymlinks(file)
	if err != nil {
		return transfer.Digest{}
	}
	return transfer.HubDigest(filepath.Base(to))
}

// fetchHub fetches a model of the hub: all files of one commit.
func (s *Store) fetchHub(ctx context.Context, e Entry) (Result, error) {
	dir := s.layout.folder(e.Repo)
	r := Result{Name: e.Name, Fetched: true}
	blobs := make(map[string]string) // the name of each file's blob
	commit, revision := "", "main"
	for _, f := range e.Files {
		t := fileOf(e, f, dir)
		t.URL = hubAddress(s.hub.String(), e.Repo, revision, f.Name)
		if s.client.Mirrored() {
			t.URL = hubAddress(DefaultHubURL, e.Repo, revision, f.Name)
		}
		part := s.layout.part(e, f)
		p, out, err := s.client.Download(ctx, t, part)
		if err != nil {
			return Result{}, err
		}
		if out.Checked == "length" && filepath.Ext(f.Name) == ".safetensors" { // a mirror says nothing of the weights
			if err := s.checkFormat(t, p); err != nil {
				return Result{}, err
			}
		}
		if commit == "" && out.Commit != "" {
			commit, revision = out.Commit, out.Commit // the other files are to be of the same one, even if main moves
		}
		if blobs[f.Name], err = blobName(p.File(), t, out); err == nil {
			err = p.Finish(filepath.Join(dir, "blobs", blobs[f.Name]))
		}
		if err != nil {
			return Result{}, s.client.DiskError(t, part, err)
		}
		r.Files = append(r.Files, Found{Bytes: out.Size, SHA256: out.Sum, Checked: out.Checked})
	}
	if commit == "" { // a mirror that knows no commits: a name that depends on the content
		h := sha1.New()
		for _, f := range e.Files {
			fmt.Fprintln(h, f.Name, blobs[f.Name])
		}
		commit = hex.EncodeToString(h.Sum(nil))
	}
	snapshot, err := s.layout.link(e.Repo, commit, blobs)
	if err != nil {
		return Result{}, &transfer.SettingError{
			Err: fmt.Errorf("fetch %q: %w", e.Name, err), Remedy: "set HF_HOME to a folder that can be written"}
	}
	r.Path = snapshot
	for i, f := range e.Files {
		r.Files[i].Path = filepath.Join(snapshot, f.Name)
	}
	return r, nil
}

// blobName is the name that huggingface_hub gives the content: the hub's tag, else the same computed.
func blobName(file string, f transfer.File, out transfer.Result) (string, error) {
	switch {
	case out.Tag.Kind == "sha256" || out.Tag.Kind == "git":
		return out.Tag.Hex, nil
	case filepath.Ext(f.Name) == ".safetensors":
		return out.Sum, nil
	}
	_, d, err := transfer.Digests(file, transfer.Digest{Kind: "git"})
	return d.Hex, err
}

// link makes the snapshot, and then the reference that makes Python find it.
func (l hubLayout) link(repo, commit string, blobs map[string]string) (string, error) {
	dir := l.folder(repo)
	snapshot := filepath.Join(dir, "snapshots", commit)
	for _, d := range []string{snapshot, filepath.Join(dir, "refs")} {
		if err := os.MkdirAll(d, 0o777); err != nil {
			return "", err
		}
	}
	for name, blob := range blobs {
		to := filepath.Join(snapshot, name)
		if err := os.Remove(to); err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
		if err := os.Symlink(filepath.Join("..", "..", "blobs", blob), to); err != nil {
			// Without the right to make links, huggingface_hub moves the file too.
			if err := os.Rename(filepath.Join(dir, "blobs", blob), to); err != nil {
				return "", err
			}
		}
	}
	return snapshot, atomicfile.WriteFile(filepath.Join(dir, "refs", "main"), func(w io.Writer) error {
		_, err := io.WriteString(w, commit)
		return err
	})
}
