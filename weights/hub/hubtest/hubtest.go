// Package hubtest is a stand-in of the Hugging Face hub for tests: repositories in memory, the addresses that
// huggingface_hub asks (resolve, tree, model information), large files on a second server as the hub has them on a CDN,
// and faults to order.
package hubtest

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync"
)

// Hub is the stand-in. It is safe for concurrent use.
type Hub struct {
	URL string // of the hub itself

	hub, cdn *httptest.Server

	mu     sync.Mutex
	repos  map[string]*repo
	tokens map[string]Rights
	large  map[string][]byte // files on the CDN, by SHA-256
	faults map[Place][]Fault
	asked  []Request
}

// Rights are what the account of a token may read.
type Rights int

// None of a repository that is private or gated, or all of them.
const (
	Nothing Rights = iota
	Everything
)

// Access says who may read a repository.
type Access struct {
	Private  bool
	Gated    bool
	Disabled bool
	Moved    string // the new name of a repository that was renamed
}

type repo struct {
	access  Access
	commits map[string]map[string][]byte // files by commit
	refs    map[string]string            // commits by branch or tag
}

// Request is one that came.
type Request struct {
	Place  Place
	Method string
	Path   string
	Range  string
	Token  string
}

// New starts a stand-in without repositories. Close stops it.
func New() *Hub {
	h := &Hub{
		repos: make(map[string]*repo), tokens: make(map[string]Rights), large: make(map[string][]byte),
		faults: make(map[Place][]Fault),
	}
	h.hub = httptest.NewServer(h.place(AtHub, h.serve))
	h.cdn = httptest.NewServer(h.place(AtCDN, h.serveLarge))
	h.URL = h.hub.URL
	return h
}

// Close stops the servers.
func (h *Hub) Close() {
	h.hub.CloseClientConnections()
	h.cdn.CloseClientConnections()
	h.hub.Close()
	h.cdn.Close()
}

// Push makes a commit of these files, to which main points from then on, and returns its name.
func (h *Hub) Push(name string, files map[string][]byte) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.repos[name]
	if r == nil {
		r = &repo{commits: make(map[string]map[string][]byte), refs: make(map[string]string)}
		h.repos[name] = r
	}
	sum := sha1.New()
	fmt.Fprintln(sum, len(r.commits))
	for _, file := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintln(sum, file, SHA256(files[file]))
		if isLarge(file) {
			h.large[SHA256(files[file])] = files[file]
		}
	}
	commit := hex.EncodeToString(sum.Sum(nil))
	r.commits[commit], r.refs["main"] = maps.Clone(files), commit
	return commit
}

// Name gives a commit another name: a branch or a tag.
func (h *Hub) Name(repo, revision, commit string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.repos[repo].refs[revision] = commit
}

// Restrict says who may read a repository. One that has moved needs no files.
func (h *Hub) Restrict(name string, a Access) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.repos[name] == nil {
		h.repos[name] = &repo{}
	}
	h.repos[name].access = a
}

// Token makes a token valid.
func (h *Hub) Token(token string, rights Rights) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tokens[token] = rights
}

// Requests are what came since the last call.
func (h *Hub) Requests() []Request {
	h.mu.Lock()
	defer h.mu.Unlock()
	asked := h.asked
	h.asked = nil
	return asked
}

// place notes a request, and serves it unless a fault is ordered.
func (h *Hub) place(p Place, serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		h.asked = append(h.asked, Request{p, r.Method, r.URL.Path, r.Header.Get("Range"), token})
		var fault Fault
		if all := h.faults[p]; len(all) > 0 {
			if fault = all[0]; fault.Match == "" || strings.Contains(r.URL.Path, fault.Match) {
				h.faults[p] = all[1:]
			} else {
				fault = Fault{}
			}
		}
		h.mu.Unlock()
		fault.wrap(w, r, serve)
	}
}

// isLarge says whether the hub keeps a file with Git LFS, by its name.
func isLarge(file string) bool {
	switch path.Ext(file) {
	case ".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".h5", ".gguf", ".onnx", ".msgpack":
		return true
	}
	return false
}

// SHA256 is the tag of a large file.
func SHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// GitName is the tag of a small file.
func GitName(b []byte) string {
	sum := sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(b)), b...))
	return hex.EncodeToString(sum[:])
}
