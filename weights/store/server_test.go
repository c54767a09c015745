package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A server answers each request in turn as its answers say, and any further one as a good server does.
type server struct {
	*httptest.Server
	body []byte

	mu      sync.Mutex
	answers []http.HandlerFunc
	asked   []*http.Request
}

func newServer(t *testing.T, size int, answers ...func(*server) http.HandlerFunc) *server {
	t.Helper()
	s := &server{body: content(size)}
	for _, a := range answers {
		s.answers = append(s.answers, a(s))
	}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked = append(s.asked, r)
		answer := http.HandlerFunc(s.good)
		if len(s.answers) > 0 {
			answer, s.answers = s.answers[0], s.answers[1:]
		}
		s.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// content is a file that no one sniffs as text.
func content(size int) []byte {
	b := make([]byte, size)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	copy(b, "\x80\x02}q")
	return b
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// good serves the file as storage servers do, with ranges.
func (s *server) good(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("ETag", `"`+sum(s.body)[:8]+`"`)
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(s.body))
}

func (s *server) requests() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*http.Request(nil), s.asked...)
}

func (s *server) ranges() string {
	var all []string
	for _, r := range s.requests() {
		all = append(all, r.Header.Get("Range"))
	}
	return strings.Join(all, ",")
}

// cut breaks the connection off after n bytes of the range that was asked for.
func cut(n int) func(*server) http.HandlerFunc { return interrupt(n, 0) }

// stall sends n bytes, and then nothing for longer than a client waits.
func stall(n int) func(*server) http.HandlerFunc { return interrupt(n, 5*time.Second) }

func interrupt(n int, then time.Duration) func(*server) http.HandlerFunc {
	return func(s *server) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			from := 0
			fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
			w.Header().Set("ETag", `"`+sum(s.body)[:8]+`"`)
			w.Header().Set("Content-Length", strconv.Itoa(len(s.body)-from))
			if from > 0 {
				w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(s.body)-1, len(s.body)))
				w.WriteHeader(http.StatusPartialContent)
			}
			w.Write(s.body[from:min(from+n, len(s.body))])
			w.(http.Flusher).Flush()
			select {
			case <-time.After(then):
			case <-r.Context().Done():
			}
			panic(http.ErrAbortHandler)
		}
	}
}

func plainly(f func(w http.ResponseWriter, r *http.Request)) func(*server) http.HandlerFunc {
	return func(*server) http.HandlerFunc { return f }
}

// says answers with a status and a header or two.
func says(code int, header ...string) func(*server) http.HandlerFunc {
	return plainly(func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		io.WriteString(w, "no\n")
	})
}

// sends answers with other bytes than the file's, and perhaps another length than theirs.
func sends(body, contentType string, length int) func(*server) http.HandlerFunc {
	return plainly(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		if length >= 0 {
			w.Header().Set("Content-Length", strconv.Itoa(length))
		}
		if 0 < length && length < len(body) {
			body = body[:length] // more is not let out
		}
		io.WriteString(w, body)
	})
}

func times[T any](n int, a ...T) (all []T) {
	for range n {
		all = append(all, a...)
	}
	return all
}

// newStore is a store in a folder of its own that does not wait long.
func newStore(t *testing.T, change func(*Options)) *Store {
	t.Helper()
	dir := t.TempDir()
	o := Options{
		Cache: filepath.Join(dir, "captioner"), HubCache: filepath.Join(dir, "hub"), HubURL: DefaultHubURL,
		Attempts: 3, Backoff: time.Millisecond, Stall: 500 * time.Millisecond,
	}
	if change != nil {
		change(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// entry is one file of a server.
func (s *server) entry() Entry {
	return Entry{Name: "test:one", What: "a test", Licence: "none", Origin: "https://example.org", Folder: "test",
		Files: []File{{Name: "one.pt", URL: s.URL + "/models/one.pt", SHA256: sum(s.body)}}}
}

// leftover lists the files of a folder and their sizes, but for locks.
func leftover(t *testing.T, dir string) string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".lock") {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if filepath.Ext(name) == ".json" {
			all = append(all, name)
		} else {
			all = append(all, fmt.Sprintf("%s %d", name, info.Size()))
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Join(all, ", ")
}
