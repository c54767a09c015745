package store

import (
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const commit = "2290a62682d06624634c1f46a6ad5be0f47f38aa"

// fakeHub answers as the hub does: models have moved to the account of their owner, and large files lie on another
// host.
type fakeHub struct {
	*httptest.Server
	cdn     *server
	small   []byte
	revised string // revisions that were asked for
	token   string // that came with the last request
	lie     string // ETag instead of the right one, for model.safetensors
}

func newHub(t *testing.T) *fakeHub {
	h := &fakeHub{cdn: newServer(t, 50_000), small: []byte("{}\n")}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.token = r.Header.Get("Authorization")
		path := strings.Split(r.URL.Path, "/")
		if path[1] != "owner" {
			http.Redirect(w, r, "/owner"+r.URL.Path, http.StatusTemporaryRedirect)
			return
		}
		if h.revised += path[4] + " "; path[5] == "gated.json" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("X-Repo-Commit", commit)
		if path[5] != "model.safetensors" {
			w.Header().Set("ETag", `"`+gitName(h.small)+`"`)
			w.Write(h.small)
			return
		}
		tag := sum(h.cdn.body)
		if h.lie != "" {
			tag = h.lie
		}
		w.Header().Set("X-Linked-Etag", `"`+tag+`"`)
		w.Header().Set("X-Linked-Size", fmt.Sprint(len(h.cdn.body)))
		http.Redirect(w, r, h.cdn.URL+"/"+sum(h.cdn.body), http.StatusFound)
	}))
	t.Cleanup(h.Close)
	return h
}

func gitName(b []byte) string {
	s := sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(b)), b...))
	return hex.EncodeToString(s[:])
}

func hubEntry(files ...string) Entry {
	e := Entry{Name: "tinygpt", What: "a test", Repo: "tinygpt", Origin: "https://example.org",
		repos: []string{"owner/tinygpt"}}
	for _, f := range files {
		e.Files = append(e.Files, File{Name: f})
	}
	return e
}

func TestFetchFromTheHub(t *testing.T) {
	h := newHub(t)
	s := newStore(t, func(o *Options) { o.HubURL, o.HubToken = h.URL, "secret" })
	e := hubEntry("config.json", "model.safetensors")
	h.cdn.answers = append(h.cdn.answers, cut(20_000)(h.cdn)) // a cut on the way
	r, err := s.fetch(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(s.o.HubCache, "models--tinygpt")
	if want := filepath.Join(dir, "snapshots", commit); r.Path != want {
		t.Errorf("got the path %q, want %q", r.Path, want)
	}
	want := fmt.Sprintf("blobs/%s 3, blobs/%s 50000, refs/main 40, ", gitName(h.small), sum(h.cdn.body))
	if gitName(h.small) > sum(h.cdn.body) {
		want = fmt.Sprintf("blobs/%s 50000, blobs/%s 3, refs/main 40, ", sum(h.cdn.body), gitName(h.small))
	}
	if got := leftover(t, dir); !strings.HasPrefix(got, want) {
		t.Errorf("got %q, want it to begin with %q", got, want)
	}
	for name, content := range map[string][]byte{"config.json": h.small, "model.safetensors": h.cdn.body} {
		if b, err := os.ReadFile(filepath.Join(r.Path, name)); err != nil || sum(b) != sum(content) {
			t.Errorf("%s: got %d bytes, %v", name, len(b), err)
		}
	}
	if r.Files[0].Checked != "git" || r.Files[1].Checked != "sha256" {
		t.Errorf("checked by %q and %q, want git and sha256", r.Files[0].Checked, r.Files[1].Checked)
	}
	if h.token != "Bearer secret" {
		t.Errorf("the hub got the token %q", h.token)
	}
	for _, r := range h.cdn.requests() {
		if r.Header.Get("Authorization") != "" {
			t.Error("the token went to another host")
		}
	}
	if want := "main " + commit; !strings.HasPrefix(h.revised, want) {
		t.Errorf("asked for the revisions %q, want all files of one commit", h.revised)
	}

	again, err := s.fetch(t.Context(), e)
	if err != nil || again.Fetched || again.Path != r.Path {
		t.Errorf("the second time: got %+v, %v", again, err)
	}
	spoil(t, filepath.Join(r.Path, "model.safetensors"))
	if _, err := s.fetch(t.Context(), e); !errors.Is(err, ErrChecksum) {
		t.Errorf("after damage: got %v, want ErrChecksum", err)
	}
}

func TestHubRefuses(t *testing.T) {
	h := newHub(t)
	for token, hint := range map[string]string{"": "set HF_TOKEN to a token that may read it",
		"old": "the token in HF_TOKEN may not read it, or has expired"} {
		s := newStore(t, func(o *Options) { o.HubURL, o.HubToken = h.URL, token })
		_, err := s.fetch(t.Context(), hubEntry("gated.json"))
		if !errors.Is(err, ErrDenied) {
			t.Fatalf("got %v, want ErrDenied", err)
		}
		wantMessage(t, err, `fetch "tinygpt" from "`+h.URL+`/tinygpt/resolve/main/gated.json": `, "401 Unauthorized", hint)
	}
	h.lie = strings.Repeat("0", 64)
	s := newStore(t, func(o *Options) { o.HubURL = h.URL })
	if _, err := s.fetch(t.Context(), hubEntry("model.safetensors")); !errors.Is(err, ErrChecksum) {
		t.Errorf("got %v, want ErrChecksum", err)
	}
	h.lie, h.cdn.body = "", content(40_000)
	h.cdn.answers = append(h.cdn.answers, sends(string(content(30_000)), "application/octet-stream", 30_000)(h.cdn))
	if _, err := s.fetch(t.Context(), hubEntry("model.safetensors")); !errors.Is(err, ErrSize) {
		t.Errorf("got %v, want ErrSize", err)
	}
}

// TestHubFindsPython looks into a cache that huggingface_hub filled, under the owner's name.
func TestHubFindsPython(t *testing.T) {
	s := newStore(t, func(o *Options) { o.Offline = true })
	e := hubEntry("config.json")
	snapshot := filepath.Join(s.o.HubCache, "models--owner--tinygpt", "snapshots", commit)
	if err := os.MkdirAll(snapshot, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.cached(e); ok {
		t.Error("found a snapshot without files")
	}
	if err := os.WriteFile(filepath.Join(snapshot, "config.json"), []byte("{}"), 0o666); err != nil {
		t.Fatal(err)
	}
	if r, err := s.fetch(t.Context(), e); err != nil || r.Path != snapshot {
		t.Errorf("got %+v, %v, want %q", r, err, snapshot)
	}
}

func TestHubMirrorWithoutTags(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "huggingface.co/tinygpt/resolve/main")
	if err := os.MkdirAll(folder, 0o777); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]string{"config.json": "{}", "vocab.json": "{ }"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(b), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	s := newStore(t, func(o *Options) { o.Mirror = dir })
	r, err := s.fetch(t.Context(), hubEntry("config.json", "vocab.json"))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(r.Path, "vocab.json")); err != nil || string(b) != "{ }" {
		t.Errorf("got %q, %v", b, err)
	}
}
