package store

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"

	"captioner/weights/hub"
	"captioner/weights/transfer"
)

// hubPart is where a file of the hub lies while it is fetched, less the suffix: its tag is not known before the hub has
// answered.
func hubPart(l hub.Layout, e Entry, f File) string { return l.Blob(e.Repo, "captioner-"+f.Name) }

// hubSnapshot finds a snapshot with all files of an entry: that of refs/main, else any.
func hubSnapshot(l hub.Layout, e Entry) (string, bool) {
	for _, repo := range append([]string{e.Repo}, e.repos...) {
		for _, commit := range append([]string{l.Commit(repo, "main")}, l.Snapshots(repo)...) {
			snapshot := l.Snapshot(repo, commit)
			if commit != "" && !slices.ContainsFunc(e.Files,
				func(f File) bool { return !hub.Regular(filepath.Join(snapshot, f.Name)) }) {
				return snapshot, true
			}
		}
	}
	return l.Folder(e.Repo), false
}

// fetchHub fetches a model of the hub: all files of one commit.
func (s *Store) fetchHub(ctx context.Context, e Entry) (Result, error) {
	dir := s.layout.Folder(e.Repo)
	r := Result{Name: e.Name, Fetched: true}
	blobs := make(map[string]string) // the name of each file's blob
	commit, revision := "", "main"
	for _, f := range e.Files {
		t := fileOf(e, f, dir)
		t.URL = hubAddress(s.hub.String(), e.Repo, revision, f.Name)
		if s.client.Mirrored() {
			t.URL = hubAddress(DefaultHubURL, e.Repo, revision, f.Name)
		}
		part := hubPart(s.layout, e, f)
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
		if blobs[f.Name], err = hub.BlobName(p.File(), f.Name, out); err == nil {
			err = p.Finish(s.layout.Blob(e.Repo, blobs[f.Name]))
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
	snapshot := s.layout.Snapshot(e.Repo, commit)
	for name, blob := range blobs {
		if err := s.layout.Link(e.Repo, commit, name, blob); err != nil {
			return Result{}, hubUnwritable(e, err)
		}
	}
	if err := s.layout.SetCommit(e.Repo, "main", commit); err != nil {
		return Result{}, hubUnwritable(e, err)
	}
	r.Path = snapshot
	for i, f := range e.Files {
		r.Files[i].Path = filepath.Join(snapshot, f.Name)
	}
	return r, nil
}

func hubUnwritable(e Entry, err error) error {
	return &transfer.SettingError{Err: fmt.Errorf("fetch %q: %w", e.Name, err),
		Remedy: "set HF_HOME to a folder that can be written"}
}
