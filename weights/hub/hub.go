// Package hub fetches models of the Hugging Face hub by the names of their repositories, into the hub's own cache, so
// that Python finds what captioner fetched and the other way round.
//
// Of a repository only what a captioner reads is fetched: its description, its tokenizer, its preprocessing, and the
// weights in one format. All files are of one commit. Each is checked, large ones by SHA-256 and small ones by the name
// that git gives them, before it gets its name. Two processes that want the same file fetch it once; the locks are
// those of huggingface_hub. Nothing in the cache is ever deleted.
//
// What is fetched is data, and nothing is run. The token is sent to the hub and to nobody else.
package hub

import (
	"context"
	"errors"
	"net/url"
	"path/filepath"
	"strings"

	"captioner/weights/transfer"
)

// Options say where the cache lies and how files are fetched.
type Options struct {
	Cache    string            // the hub's cache folder
	Endpoint string            // the hub, or a mirror of it with the same paths
	TokenOf  string            // where the token comes from, for messages; empty for none
	Transfer transfer.Settings // with the token; TokenFor is the endpoint
}

// Hub fetches and finds models. It is safe for concurrent use as far as the callbacks are.
type Hub struct {
	o        Options
	endpoint *url.URL
	client   *transfer.Client
	layout   Layout
}

// New checks the options. It touches neither disk nor network, but for a mirror that is a folder.
func New(o Options) (*Hub, error) {
	endpoint, err := transfer.ParseBase("HF_ENDPOINT", o.Endpoint)
	if err != nil {
		return nil, err
	}
	o.Transfer.TokenFor = endpoint
	client, err := transfer.New(o.Transfer)
	if err != nil {
		return nil, err
	}
	return &Hub{o: o, endpoint: endpoint, client: client, layout: Layout{o.Cache}}, nil
}

// Model is a repository that is here.
type Model struct {
	Name    string           `json:"name"`
	Commit  string           `json:"commit"`
	Path    string           `json:"path"`    // the folder of the files, or the file of weights where nothing describes it
	Fetched bool             `json:"fetched"` // false: it was here
	Files   []transfer.Found `json:"files"`
}

// Repository is what is known of a repository before its weights are fetched.
type Repository struct {
	Ref    Ref
	Folder string   // that holds the descriptions: config.json and the like
	Files  []string // the names of all files at its top
	Listed bool     // false: the hub gives no list, and Files are those that were found by their names
}

// Vet refuses a repository before its weights are fetched; nil for none that is refused.
type Vet func(Repository) error

// Get returns the folder of a repository. What is here is taken as it is, without the network; what is missing is
// fetched, and where that cannot be but the weights are here, these are taken.
//
// Errors are *transfer.Error for what the network, the hub or the disk did, *FilesError for a repository without
// weights, what vet returns, and the context's.
func (h *Hub) Get(ctx context.Context, ref Ref, vet Vet) (Model, error) {
	here := h.find(ref)
	if here.whole() {
		return here.model(ref), nil
	}
	m, err := h.fetch(ctx, ref, vet, false)
	unreached := errors.Is(err, transfer.ErrNetwork) || errors.Is(err, transfer.ErrOffline) ||
		errors.Is(err, transfer.ErrStalled)
	if unreached && here.usable() {
		return here.model(ref), nil
	}
	return m, err
}

// Fetch asks the hub for the newest commit of a revision and returns its folder. What is missing is fetched; what is
// here is checked. Errors are those of Get, and *transfer.DamagedError.
func (h *Hub) Fetch(ctx context.Context, ref Ref, vet Vet) (Model, error) {
	here := h.find(ref)
	if here.usable() && (!h.client.Reaches() || here.whole() && transfer.IsCommit(ref.Revision)) {
		return h.recheck(ref, here)
	}
	return h.fetch(ctx, ref, vet, true)
}

// Here returns the path of a repository that is here, without the network.
func (h *Hub) Here(ref Ref) (path string, ok bool) {
	here := h.find(ref)
	return here.path(), here.usable()
}

// Folder is where the files of a repository lie, or would lie.
func (h *Hub) Folder(ref Ref) string { return h.layout.Folder(ref.Repo) }

// Repositories are the names of the repositories of which anything is here.
func (h *Hub) Repositories() []string {
	found, _ := filepath.Glob(filepath.Join(escape(h.o.Cache), "models--*")) // the pattern is whole
	var names []string
	for _, path := range found {
		repo := strings.ReplaceAll(strings.TrimPrefix(filepath.Base(path), "models--"), "--", "/")
		if ValidRepo(repo) && len(h.layout.Snapshots(repo)) > 0 {
			names = append(names, repo)
		}
	}
	return names
}

// escape keeps signs of a path from being read as a pattern.
func escape(path string) string {
	return strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`, `\`, `\\`).Replace(path)
}

// page is the repository's page, for people.
func page(ref Ref) string { return DefaultEndpoint + "/" + ref.Repo }
