package hub

import (
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Ref names a repository of the hub, and which of its revisions is meant.
type Ref struct {
	Repo     string // "ORG/NAME", or "NAME" for the oldest ones
	Revision string // a branch, a tag or a commit; "main" where the name does not say
}

const mainRevision = "main"

func (r Ref) String() string {
	if r.Revision == mainRevision {
		return r.Repo
	}
	return r.Repo + "@" + r.Revision
}

// part is one half of a repository's name, as the hub allows it.
var part = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?$`)

// revision is what git allows in names of branches and tags, as far as they are used.
var revision = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._/+-]*$`)

// Prefix marks a name as one of the hub, whatever else it could be.
const Prefix = "hf:"

// Parse reads ORG/NAME, ORG/NAME@REVISION, either behind "hf:", or the address of the repository's page. It reports
// false for what is none of these, and for names that end like a file of weights, without "hf:".
func Parse(name string) (Ref, bool) {
	rest, marked := strings.CutPrefix(name, Prefix)
	if page, ok := strings.CutPrefix(rest, DefaultEndpoint+"/"); ok {
		rest, marked = strings.TrimSuffix(page, "/"), true
		rest = strings.Replace(rest, "/tree/", "@", 1)
	}
	repo, rev, pinned := strings.Cut(rest, "@")
	if !pinned {
		rev = mainRevision
	}
	if !marked && (!strings.Contains(repo, "/") || isFile(repo)) {
		return Ref{}, false
	}
	ok := ValidRepo(repo) && revision.MatchString(rev) && !strings.Contains(rev, "..") && !strings.HasSuffix(rev, "/")
	return Ref{Repo: repo, Revision: rev}, ok
}

// ValidRepo says whether a repository can have the name: one part, or two with a slash between them.
func ValidRepo(repo string) bool {
	parts := strings.Split(repo, "/")
	return len(parts) <= 2 && len(repo) <= 96 && !strings.Contains(repo, "--") && !strings.Contains(repo, "..") &&
		!slices.ContainsFunc(parts, func(p string) bool { return !part.MatchString(p) })
}

// isFile says whether a name ends as files of weights and of their descriptions do.
func isFile(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".safetensors", ".pt", ".pth", ".ckpt", ".bin", ".pkl", ".npy", ".npz", ".json", ".gguf", ".onnx", ".h5", ".zip":
		return true
	}
	return false
}

// NameOf is the name of the repository that a path in a hub's cache belongs to, a snapshot's folder or a file in one.
func NameOf(path string) (name string, ok bool) {
	for range 2 {
		if snapshots := filepath.Dir(path); filepath.Base(snapshots) == "snapshots" {
			repo, ok := strings.CutPrefix(filepath.Base(filepath.Dir(snapshots)), "models--")
			return strings.ReplaceAll(repo, "--", "/"), ok
		}
		path = filepath.Dir(path)
	}
	return "", false
}
