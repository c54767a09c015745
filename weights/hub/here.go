package hub

import (
	"os"
	"path/filepath"
	"slices"

	"captioner/weights/transfer"
)

// here is what of a revision is in the cache.
type here struct {
	layout  Layout
	repo    string
	commit  string   // "" where the cache does not know the revision
	files   []string // of the snapshot
	weights string   // one of files, or ""
	shards  []string // where weights is an index
}

// find looks into the cache.
func (h *Hub) find(ref Ref) here {
	found := here{layout: h.layout, repo: ref.Repo, commit: h.layout.Commit(ref.Repo, ref.Revision)}
	if found.commit == "" {
		return found
	}
	folder := found.folder()
	all, _ := os.ReadDir(folder) // a folder that is not there has no files
	for _, d := range all {
		if Regular(filepath.Join(folder, d.Name())) {
			found.files = append(found.files, d.Name())
		}
	}
	if found.weights = weightsIn(found.files); isIndex(found.weights) {
		var err error
		if found.shards, err = shardsOf(filepath.Join(folder, found.weights)); err != nil {
			found.weights = ""
		}
	}
	return found
}

func (f here) folder() string { return f.layout.Snapshot(f.repo, f.commit) }

// usable says whether the weights are here, all of them.
func (f here) usable() bool {
	return f.weights != "" && !slices.ContainsFunc(f.shards, func(s string) bool { return !slices.Contains(f.files, s) })
}

// whole says whether nothing is missing that the repository could have: each description is here, or known not to be
// there.
func (f here) whole() bool {
	return f.usable() && !slices.ContainsFunc(descriptions, func(name string) bool {
		return !slices.Contains(f.files, name) && !Regular(f.layout.absent(f.repo, f.commit, name))
	})
}

// path is the folder, or the weights where nothing describes them.
func (f here) path() string { return pathOf(f.folder(), f.weights, f.files) }

func pathOf(folder, weights string, files []string) string {
	if weights == "" || slices.Contains(files, configFile) || slices.Contains(files, openCLIPFile) {
		return folder
	}
	return filepath.Join(folder, weights)
}

func (f here) model(ref Ref) Model {
	return Model{Name: ref.String(), Commit: f.commit, Path: f.path()}
}

// read are the files that are read, of those that are here.
func (f here) read() []string {
	var all []string
	for _, name := range f.files {
		if slices.Contains(descriptions, name) || name == f.weights || slices.Contains(f.shards, name) ||
			slices.Contains(companions, name) {
			all = append(all, name)
		}
	}
	return all
}

// recheck reads what is here, and compares it with the checksums that it is named by.
func (h *Hub) recheck(ref Ref, f here) (Model, error) {
	m := f.model(ref)
	for _, name := range f.read() {
		found, err := check(filepath.Join(f.folder(), name), transfer.Digest{})
		if err != nil {
			return m, err
		}
		m.Files = append(m.Files, found)
	}
	return m, nil
}

// check reads a file of a snapshot; without a digest, that of the blob's name counts.
func check(path string, want transfer.Digest) (transfer.Found, error) {
	if want.None() {
		want = BlobDigest(path)
	}
	sum, size, err := transfer.Check(path, want)
	found := transfer.Found{Path: path, Bytes: size, SHA256: sum, Checked: want.Kind}
	if want.None() {
		found.Checked = "length"
	}
	return found, err
}
