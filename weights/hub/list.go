package hub

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"captioner/weights/transfer"
)

// entry is a file of a repository, as the hub describes it.
type entry struct {
	name   string
	size   int64
	digest transfer.Digest // none where a mirror does not say
}

// listing is what a commit holds at its top.
type listing struct {
	commit  string // "" where a mirror does not say
	entries []entry
	listed  bool // by the hub; else files were found by their names
}

func (l listing) find(name string) (entry, bool) {
	for _, e := range l.entries {
		if e.name == name {
			return e, true
		}
	}
	return entry{}, false
}

func (l listing) names() []string {
	var names []string
	for _, e := range l.entries {
		names = append(names, e.name)
	}
	return names
}

// list asks for the commit that a revision stands for, and for its files.
func (h *Hub) list(ctx context.Context, ref Ref) (listing, error) {
	commit, err := h.commit(ctx, ref)
	if err != nil {
		return listing{}, err
	}
	l, err := h.tree(ctx, ref, cmp.Or(commit, ref.Revision))
	if errors.Is(err, errNoTree) {
		l, err = h.probe(ctx, ref, cmp.Or(commit, ref.Revision))
	}
	if l.commit == "" {
		l.commit = commit
	}
	return l, err
}

// commit asks which commit a revision stands for: a file's headers say so, also where there is no such file.
func (h *Hub) commit(ctx context.Context, ref Ref) (string, error) {
	if transfer.IsCommit(ref.Revision) {
		return ref.Revision, nil
	}
	f := h.file(ref, ref.Revision, configFile)
	absent, silent := "", false // silent: a server of files alone does not say what is missing
	judge := f.Refused
	f.Refused = func(r *http.Response, e *transfer.Error) {
		judge(r, e)
		absent = r.Header.Get(commitHeader)
		silent = r.StatusCode == http.StatusNotFound && r.Header.Get(codeHeader) == ""
	}
	a, err := h.client.Head(ctx, f)
	if errors.Is(err, errNoEntry) || errors.Is(err, ErrRepository) && silent {
		return absent, nil
	}
	return a.Commit, err
}

// errNoTree says that a server has no list of files: a mirror of files alone.
var errNoTree = errors.New("no list of files")

const (
	maxTree  = 16 << 20 // bytes of a page of the list
	maxPages = 50
)

// tree reads the hub's list of files, page by page.
func (h *Hub) tree(ctx context.Context, ref Ref, revision string) (listing, error) {
	l := listing{listed: true}
	next := h.address("api/models/" + ref.Repo + "/tree/" + url.PathEscape(revision))
	for range maxPages {
		f := h.file(ref, revision, "list of files")
		f.URL = next
		a, err := h.client.Get(ctx, f, maxTree)
		switch {
		case errors.Is(err, errNoEntry), errors.Is(err, ErrRepository), errors.Is(err, transfer.ErrDenied),
			errors.Is(err, transfer.ErrPage), errors.Is(err, transfer.ErrSize):
			return l, errNoTree // a repository that is missing has none of the files either
		case err != nil:
			return l, err
		}
		var files []struct {
			Type, Path, OID string
			Size            int64
			LFS             *struct {
				OID  string
				Size int64
			}
		}
		if err := json.Unmarshal(a.Body, &files); err != nil {
			return l, errNoTree
		}
		for _, file := range files {
			if file.Type != "file" || strings.Contains(file.Path, "/") {
				continue
			}
			e := entry{file.Path, file.Size, transfer.HubDigest(file.OID)}
			if file.LFS != nil {
				e.size, e.digest = file.LFS.Size, transfer.HubDigest(strings.TrimPrefix(file.LFS.OID, "sha256:"))
			}
			l.entries = append(l.entries, e)
		}
		if next = nextPage(next, a.Header.Get("Link")); next == "" {
			break
		}
	}
	return l, nil
}

// nextPage is the address of the next page of a list, if there is one on the same server.
func nextPage(at, link string) string {
	for part := range strings.SplitSeq(link, ",") {
		address, rel, ok := strings.Cut(strings.TrimSpace(part), ">")
		if !ok || !strings.HasPrefix(address, "<") || !strings.Contains(rel, `rel="next"`) {
			continue
		}
		here, err := url.Parse(at)
		if err != nil {
			return ""
		}
		if next, err := here.Parse(address[1:]); err == nil && next.Host == here.Host && next.Scheme == here.Scheme {
			return next.String()
		}
	}
	return ""
}

// probe finds files by their names, of a server that gives no list. Shards are found by their index.
func (h *Hub) probe(ctx context.Context, ref Ref, revision string) (listing, error) {
	var l listing
	found := false // a form of the weights; no other is asked for
	for _, name := range candidates() {
		weights := weightsIn([]string{name}) != ""
		if weights && found {
			continue
		}
		a, err := h.client.Head(ctx, h.file(ref, revision, name))
		if errors.Is(err, errNoEntry) || errors.Is(err, ErrRepository) {
			continue // a server of files does not tell a missing repository from a missing file
		}
		if err != nil {
			return l, err
		}
		found = found || weights
		l.entries = append(l.entries, entry{name, a.Size, a.Tag})
		if l.commit == "" {
			l.commit = a.Commit
		}
	}
	if l.entries == nil {
		return l, h.fault(ref, &transfer.Error{Err: ErrRepository, Detail: "found no such repository",
			Remedy: h.missingHint(ref)})
	}
	return l, nil
}
