package hubtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// pageSize is how many files a page of a list holds.
const pageSize = 10

// serve answers as the hub does.
func (h *Hub) serve(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.EscapedPath(), "/")
	if rest, ok := strings.CutPrefix(path, "api/resolve-cache/models/"); ok {
		h.resolve(w, r, rest, true)
		return
	}
	if rest, ok := strings.CutPrefix(path, "api/models/"); ok {
		h.api(w, r, rest)
		return
	}
	if repo, rest, ok := strings.Cut(path, "/resolve/"); ok {
		h.resolve(w, r, repo+"/"+rest, false)
		return
	}
	refuse(w, http.StatusNotFound, "", "Sorry, we can't find the page you are looking for.")
}

// api answers models/ORG/NAME, with /revision/REVISION or /tree/REVISION behind.
func (h *Hub) api(w http.ResponseWriter, r *http.Request, path string) {
	for _, kind := range []string{"/tree/", "/revision/", ""} {
		name, revision, found := strings.Cut(path, kind)
		if kind == "" {
			name, revision = path, "main"
		} else if !found {
			continue
		}
		revision, _, _ = strings.Cut(revision, "/")
		revision, err := url.PathUnescape(revision)
		if err != nil {
			refuse(w, http.StatusBadRequest, "", err.Error())
			return
		}
		files, commit, ok := h.find(w, r, name, revision, "/api/models/")
		switch {
		case !ok:
		case kind == "/tree/":
			h.tree(w, r, files)
		default:
			info(w, name, commit, files)
		}
		return
	}
}

// find looks a revision up, or answers why it is not to be had. An address of a repository that has moved is sent on.
func (h *Hub) find(
	w http.ResponseWriter, r *http.Request, name, revision, before string,
) (files map[string][]byte, commit string, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	rights, known := h.tokens[token]
	repo := h.repos[name]
	if repo != nil && repo.access.Moved != "" {
		to := strings.Replace(r.URL.RequestURI(), before+name, before+repo.access.Moved, 1)
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusTemporaryRedirect)
		return nil, "", false
	}
	switch {
	case token != "" && !known:
		refuse(w, http.StatusUnauthorized, "", "Invalid credentials in Authorization header")
	case repo == nil || repo.access.Private && rights != Everything:
		if token == "" {
			refuse(w, http.StatusUnauthorized, "", "Invalid username or password.")
		} else {
			refuse(w, http.StatusNotFound, "RepoNotFound", "Repository not found")
		}
	case repo.access.Disabled:
		refuse(w, http.StatusForbidden, "", "Access to this resource is disabled.")
	case repo.access.Gated && rights != Everything && before == "/": // the hub shows what a gated repository holds
		code := http.StatusForbidden
		if token == "" {
			code = http.StatusUnauthorized
		}
		refuse(w, code, "GatedRepo", "Access to model "+name+" is restricted.")
	default:
		if commit = repo.refs[revision]; commit == "" {
			commit = revision
		}
		if files = repo.commits[commit]; files == nil {
			refuse(w, http.StatusNotFound, "RevisionNotFound", "Invalid rev id: "+revision)
			return nil, "", false
		}
		return files, commit, true
	}
	return nil, "", false
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	if code != "" {
		w.Header().Set("X-Error-Code", code)
	}
	w.Header().Set("X-Error-Message", message)
	http.Error(w, message, status)
}

// tree lists files, a page at a time.
func (h *Hub) tree(w http.ResponseWriter, r *http.Request, files map[string][]byte) {
	type lfs struct {
		OID         string `json:"oid"`
		Size        int    `json:"size"`
		PointerSize int    `json:"pointerSize"`
	}
	type entry struct {
		Type string `json:"type"`
		OID  string `json:"oid"`
		Size int    `json:"size"`
		Path string `json:"path"`
		LFS  *lfs   `json:"lfs,omitempty"`
	}
	all := []entry{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		b := files[name]
		e := entry{Type: "file", OID: GitName(b), Size: len(b), Path: name}
		if isLarge(name) {
			pointer := fmt.Sprintf("version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n", SHA256(b), len(b))
			e.OID, e.LFS = GitName([]byte(pointer)), &lfs{SHA256(b), len(b), len(pointer)}
		}
		all = append(all, e)
	}
	from, _ := strconv.Atoi(r.URL.Query().Get("cursor"))
	from = min(max(from, 0), len(all))
	if page := all[from:]; len(page) > pageSize {
		all = page[:pageSize]
		next := fmt.Sprintf("%s%s?cursor=%d", h.URL, r.URL.EscapedPath(), from+pageSize)
		w.Header().Set("Link", fmt.Sprintf("<%s>; rel=\"next\"", next))
	} else {
		all = page
	}
	answer(w, all)
}

// info is what the hub says of a model.
func info(w http.ResponseWriter, name, commit string, files map[string][]byte) {
	type sibling struct {
		Name string `json:"rfilename"`
	}
	var all []sibling
	for _, file := range slices.Sorted(maps.Keys(files)) {
		all = append(all, sibling{file})
	}
	answer(w, map[string]any{"id": name, "modelId": name, "sha": commit, "siblings": all})
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	json.NewEncoder(w).Encode(v)
}

// resolve serves ORG/NAME/REVISION/FILE: small files from here, by way of a redirect, and large ones from the CDN.
func (h *Hub) resolve(w http.ResponseWriter, r *http.Request, path string, cached bool) {
	parts := strings.Split(path, "/")
	if len(parts) < 3 {
		refuse(w, http.StatusNotFound, "", "Not found")
		return
	}
	name := strings.Join(parts[:len(parts)-2], "/")
	revision, _ := url.PathUnescape(parts[len(parts)-2])
	file, _ := url.PathUnescape(parts[len(parts)-1])
	files, commit, ok := h.find(w, r, name, revision, "/")
	if !ok {
		return
	}
	w.Header().Set("X-Repo-Commit", commit)
	b, ok := files[file]
	switch {
	case !ok:
		refuse(w, http.StatusNotFound, "EntryNotFound", "Entry not found")
	case isLarge(file):
		w.Header().Set("X-Linked-Etag", `"`+SHA256(b)+`"`)
		w.Header().Set("X-Linked-Size", strconv.Itoa(len(b)))
		http.Redirect(w, r, h.cdn.URL+"/"+SHA256(b)+"?Signature=secret", http.StatusFound)
	case !cached:
		w.Header().Set("X-Linked-Etag", `"`+GitName(b)+`"`)
		w.Header().Set("X-Linked-Size", strconv.Itoa(len(b)))
		http.Redirect(w, r, fmt.Sprintf("/api/resolve-cache/models/%s/%s/%s", name, commit, file),
			http.StatusTemporaryRedirect)
	default:
		w.Header().Set("ETag", `"`+GitName(b)+`"`)
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
	}
}

// serveLarge serves a file of the CDN by its SHA-256. It refuses a token, as signed addresses do.
func (h *Hub) serveLarge(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "" {
		http.Error(w, "Only one auth mechanism allowed", http.StatusBadRequest)
		return
	}
	h.mu.Lock()
	b, ok := h.large[strings.TrimPrefix(r.URL.Path, "/")]
	h.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("ETag", `"`+SHA256(b)[:32]+`"`)
	w.Header().Set("Content-Type", "binary/octet-stream")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
}
