package hub

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"

	"captioner/weights/transfer"
)

// address is an address of the hub, by its path. What a mirror has lies under the hub's own address.
func (h *Hub) address(path string) string {
	base := h.endpoint.String()
	if h.client.Mirrored() {
		base = DefaultEndpoint
	}
	return base + "/" + path
}

// file is a file of a repository as it is asked for: that of a revision, which may be the commit that the name stands
// for.
func (h *Hub) file(ref Ref, revision, name string) transfer.File {
	return transfer.File{
		Entry: ref.String(), Name: name, Hub: true, Origin: page(ref),
		URL: h.address(ref.Repo + "/resolve/" + url.PathEscape(revision) + "/" + url.PathEscape(name)),
		ByHand: fmt.Sprintf("copy the folder %q from the Hugging Face cache of a machine that has it to %q",
			FolderName(ref.Repo), h.layout.Folder(ref.Repo)),
		Refused: func(r *http.Response, e *transfer.Error) { h.refused(ref, r, e) },
	}
}

// fetching is a repository on its way.
type fetching struct {
	*Hub
	ref   Ref
	list  listing
	check bool // what is here is read again
	model Model
}

// fetch brings here what is missing: the descriptions, then, if vet agrees, the weights.
func (h *Hub) fetch(ctx context.Context, ref Ref, vet Vet, check bool) (Model, error) {
	l, err := h.list(ctx, ref)
	if err != nil {
		return Model{}, err
	}
	f := &fetching{Hub: h, ref: ref, list: l, check: check, model: Model{Name: ref.String()}}
	if f.list.commit == "" {
		f.list.commit = l.stand()
	}
	f.model.Commit = f.list.commit
	if err := f.take(ctx, present(l, descriptions)); err != nil {
		return f.model, err
	}
	files := l.names()
	if vet != nil {
		if err := vet(Repository{Ref: ref, Folder: f.folder(), Files: files, Listed: l.listed}); err != nil {
			return f.model, err
		}
	}
	weights, err := f.weights(ctx, files)
	if err == nil && slices.Contains(files, captionerFile) {
		err = f.take(ctx, present(l, companions))
	}
	if err != nil {
		return f.model, err
	}
	f.model.Path = pathOf(f.folder(), weights, files)
	return f.model, f.remember()
}

func (f *fetching) folder() string { return f.layout.Snapshot(f.ref.Repo, f.list.commit) }

// stand is a name for the files of a mirror that knows no commits: it depends on what is known of them.
func (l listing) stand() string {
	sum := sha1.New()
	for _, e := range l.entries {
		fmt.Fprintln(sum, e.name, e.size, e.digest)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func present(l listing, names []string) []entry {
	var all []entry
	for _, name := range names {
		if e, ok := l.find(name); ok {
			all = append(all, e)
		}
	}
	return all
}

// weights brings the weights here, and returns the name of their file or of the index of their shards.
func (f *fetching) weights(ctx context.Context, files []string) (string, error) {
	name := weightsIn(files)
	if here := f.find(Ref{f.ref.Repo, f.list.commit}); here.usable() && slices.Contains(files, here.weights) {
		name = here.weights // in the form that Python took
	}
	if name == "" {
		return "", noWeights(f.ref, files)
	}
	e, _ := f.list.find(name)
	if !isIndex(name) {
		return name, f.take(ctx, []entry{e})
	}
	if err := f.take(ctx, []entry{e}); err != nil {
		return "", err
	}
	shards, err := shardsOf(filepath.Join(f.folder(), name))
	if err != nil {
		return "", err
	}
	var all []entry
	for _, shard := range shards {
		e, ok := f.list.find(shard)
		if !ok && f.list.listed {
			return "", noShard(f.ref, name, shard, len(shards))
		}
		if !ok {
			e.name = shard
		}
		all = append(all, e)
	}
	return name, f.take(ctx, all)
}

// take brings files here, if there is room for all of them.
func (f *fetching) take(ctx context.Context, all []entry) error {
	need := int64(0)
	for _, e := range all {
		if !f.here(e) {
			need += e.size
		}
	}
	if free, ok := f.client.Free(existing(f.layout.Root)); ok && need > free {
		return f.fault(f.ref, &transfer.Error{Err: transfer.ErrSpace,
			Detail: fmt.Sprintf("%s are free in %q, want %s", transfer.Megabytes(free), f.layout.Root,
				transfer.Megabytes(need)),
			Remedy: "make room, or set HF_HOME to a folder on another disk"})
	}
	for _, e := range all {
		found, err := f.one(ctx, e)
		if err != nil {
			return err
		}
		f.model.Files = append(f.model.Files, found)
	}
	return nil
}

// existing is a folder, or the one above it that there is.
func existing(folder string) string {
	for {
		if matches, err := filepath.Glob(escape(folder)); err == nil && len(matches) > 0 || folder == filepath.Dir(folder) {
			return folder
		}
		folder = filepath.Dir(folder)
	}
}

func (f *fetching) here(e entry) bool {
	return Regular(filepath.Join(f.folder(), e.name)) ||
		!e.digest.None() && Regular(f.layout.Blob(f.ref.Repo, e.digest.Hex))
}

// one brings a file here.
func (f *fetching) one(ctx context.Context, e entry) (transfer.Found, error) {
	path := filepath.Join(f.folder(), e.name)
	if Regular(path) {
		return f.known(path, e)
	}
	lock := e.digest.Hex
	if e.digest.None() {
		lock = "captioner-" + e.name
	}
	unlock, err := f.client.Lock(ctx, f.ref.String(), f.layout.Lock(f.ref.Repo, lock))
	if err != nil {
		return transfer.Found{}, err
	}
	defer unlock()
	if e.digest.None() {
		return f.download(ctx, e, path)
	}
	blob := f.layout.Blob(f.ref.Repo, e.digest.Hex)
	if !Regular(blob) {
		return f.download(ctx, e, path)
	}
	if err := f.link(e.name, e.digest.Hex); err != nil { // it is the same in another commit, or another process has it
		return transfer.Found{}, err
	}
	return f.known(path, e)
}

// known is a file that is here.
func (f *fetching) known(path string, e entry) (transfer.Found, error) {
	if !f.check {
		return transfer.Found{Path: path, Bytes: e.size, Checked: "name"}, nil
	}
	found, err := check(path, e.digest)
	if err != nil {
		err = fmt.Errorf("check %q: %w", f.ref, err)
	}
	return found, err
}

// download fetches a file into its blob and gives it its name.
func (f *fetching) download(ctx context.Context, e entry, path string) (transfer.Found, error) {
	t := f.file(f.ref, f.revision(), e.name)
	t.Want, t.Size, t.ByContent = e.digest, e.size, !e.digest.None()
	part := f.layout.Blob(f.ref.Repo, e.digest.Hex)
	if e.digest.None() {
		part = f.layout.Blob(f.ref.Repo, "captioner-"+e.name)
	}
	p, out, err := f.client.Download(ctx, t, part)
	if err != nil {
		return transfer.Found{}, err
	}
	tag, err := BlobName(p.File(), e.name, out)
	if err == nil {
		err = p.Finish(f.layout.Blob(f.ref.Repo, tag))
	}
	if err != nil {
		return transfer.Found{}, f.client.DiskError(t, part, err)
	}
	f.model.Fetched = true
	return transfer.Found{Path: path, Bytes: out.Size, SHA256: out.Sum, Checked: out.Checked}, f.link(e.name, tag)
}

// revision is the one that files are asked for: the commit, so that all are of the same even if main moves. A mirror
// may know the name alone.
func (f *fetching) revision() string {
	if f.client.Mirrored() || !f.list.listed {
		return f.ref.Revision
	}
	return f.list.commit
}

// BlobName is the name that huggingface_hub gives a file's content: the hub's tag, else the same computed.
func BlobName(file, name string, out transfer.Result) (string, error) {
	switch {
	case out.Tag.Kind == "sha256" || out.Tag.Kind == "git":
		return out.Tag.Hex, nil
	case filepath.Ext(name) == ".safetensors" || filepath.Ext(name) == ".bin":
		return out.Sum, nil
	}
	_, d, err := transfer.Digests(file, transfer.Digest{Kind: "git"})
	return d.Hex, err
}

func (f *fetching) link(name, tag string) error {
	return f.written(f.layout.Link(f.ref.Repo, f.list.commit, name, tag))
}

// written says what is wrong with the cache.
func (f *fetching) written(err error) error {
	if err == nil {
		return nil
	}
	return &transfer.SettingError{Err: fmt.Errorf("fetch %q: %w", f.ref, err),
		Remedy: "set HF_HOME to a folder that can be written"}
}

// remember writes down what the commit does not hold, and, now that all is here, which commit the revision stands for.
func (f *fetching) remember() error {
	for _, name := range candidates() {
		if _, ok := f.list.find(name); ok || !f.list.listed && !slices.Contains(descriptions, name) {
			continue
		}
		if err := f.layout.SetAbsent(f.ref.Repo, f.list.commit, name); err != nil {
			return f.written(err)
		}
	}
	return f.written(f.layout.SetCommit(f.ref.Repo, f.ref.Revision, f.list.commit))
}
