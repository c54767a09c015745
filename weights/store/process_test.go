package store

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"captioner/weights/hub"
)

// As a process of its own, this test binary fetches one file: the checksum, the address and the cache are variables.
func TestMain(m *testing.M) {
	if os.Getenv("STORE_TEST_URL") == "" {
		os.Exit(m.Run())
	}
	o := Options{Cache: os.Getenv("STORE_TEST_CACHE"), HubCache: os.Getenv("STORE_TEST_CACHE"), HubURL: DefaultHubURL,
		Attempts: 3, Backoff: time.Millisecond, Stall: time.Minute}
	o.Progress = func(p Progress) { fmt.Println(p.Done) }
	s, err := New(o)
	if err == nil {
		_, err = s.fetch(context.Background(), Entry{Name: "test:one", Folder: "test",
			Files: []File{{Name: "one.pt", URL: os.Getenv("STORE_TEST_URL"), SHA256: os.Getenv("STORE_TEST_SUM")}}})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func process(t *testing.T, cache string, e Entry, env ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), "STORE_TEST_URL="+e.Files[0].URL, "STORE_TEST_SUM="+e.Files[0].SHA256,
		"STORE_TEST_CACHE="+cache), env...)
	out := new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, out
}

func TestProcessesFetchOnce(t *testing.T) {
	srv := newServer(t, 300_000)
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(300 * time.Millisecond)
		srv.Config.Handler.ServeHTTP(w, r)
	}))
	defer slow.Close()
	e := srv.entry()
	e.Files[0].URL = slow.URL
	cache := t.TempDir()
	for range 3 {
		cmd, out := process(t, cache, e)
		defer func() {
			if err := cmd.Wait(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
			if n := len(srv.requests()); n != 1 {
				t.Errorf("three processes asked %d times, want once", n)
			}
		}()
	}
}

// TestKilled kills a fetching process; the next one goes on where it was.
func TestKilled(t *testing.T) {
	srv := newServer(t, 100_000, interrupt(60_000, time.Minute))
	cache := t.TempDir()
	cmd, _ := process(t, cache, srv.entry())
	part := filepath.Join(cache, "weights/test/one.pt.part")
	for info, err := os.Stat(part); err != nil || info.Size() < 60_000; info, err = os.Stat(part) {
		time.Sleep(5 * time.Millisecond)
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	cmd, out := process(t, cache, srv.entry())
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := srv.ranges(); got != ",bytes=60000-" {
		t.Errorf("asked for the ranges %q, want the rest alone", got)
	}
	if b, err := os.ReadFile(strings.TrimSuffix(part, ".part")); err != nil || sum(b) != sum(srv.body) {
		t.Errorf("got %d bytes, %v", len(b), err)
	}
}

// TestProxy fetches from a host that only a proxy knows.
func TestProxy(t *testing.T) {
	srv := newServer(t, 1000)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.String() != "http://weights.example/one.pt" {
			t.Errorf("the proxy was asked for %q", r.URL)
		}
		srv.good(w, r)
	}))
	defer proxy.Close()
	e := srv.entry()
	e.Files[0].URL = "http://weights.example/one.pt"
	cmd, out := process(t, t.TempDir(), e, "HTTP_PROXY="+proxy.URL, "http_proxy=", "NO_PROXY=", "no_proxy=")
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	proxy.Close()
	cmd, out = process(t, t.TempDir(), e, "HTTP_PROXY="+proxy.URL, "http_proxy=", "NO_PROXY=", "no_proxy=")
	if err := cmd.Wait(); err == nil || !strings.Contains(out.String(), "proxy: dial tcp") {
		t.Errorf("without the proxy: got %v: %s", err, out)
	}
}

func TestMembers(t *testing.T) {
	jar, paraphrases := content(3000), content(2000)
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, c := range map[string][]byte{"a/one.jar": jar, "a/data/two.gz": paraphrases, "../evil": jar} {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		w.Write(c)
	}
	z.Close()
	srv := newServer(t, 0)
	srv.body = b.Bytes()
	e := srv.entry()
	e.Files[0].Name = "package.whl"
	e.Members = []Member{{"a/one.jar", "one.jar", sum(jar), 3000}, {"a/data/two.gz", "data/two.gz", sum(paraphrases),
		2000}}
	s := newStore(t, nil)
	for range 2 {
		r, err := s.fetch(t.Context(), e)
		if err != nil || r.Path != filepath.Join(s.o.Cache, "weights/test") || len(r.Files) != 2 {
			t.Fatalf("got %+v, %v", r, err)
		}
	}
	if got := leftover(t, s.o.Cache); got != "weights/test/data/two.gz 2000, weights/test/one.jar 3000" ||
		len(srv.requests()) != 1 {
		t.Errorf("in the cache after %d requests: got %q, want the two members alone", len(srv.requests()), got)
	}
	text := map[string]string{"wrong checksum": `"a/one.jar": SHA256 `, "longer": " of 11 bytes, want ",
		"not there": "open b: file does not exist", "no archive": "found no zip archive"}
	for name, change := range map[string]func(*Entry){
		"wrong checksum": func(e *Entry) { e.Members[0].SHA256 = sum(paraphrases) },
		"longer":         func(e *Entry) { e.Members[0].Size = 10 },
		"not there":      func(e *Entry) { e.Members[0].From = "b" },
		"no archive":     func(e *Entry) { srv.body = content(500); e.Files[0].SHA256 = sum(srv.body) },
	} {
		srv.body = b.Bytes()
		bad := srv.entry()
		bad.Members = append([]Member(nil), e.Members...)
		change(&bad)
		s := newStore(t, nil)
		_, err := s.fetch(t.Context(), bad)
		wantMessage(t, err, "fetch ", text[name], "see https://example.org")
		if got := leftover(t, s.o.Cache); strings.Contains(got, "one.jar") {
			t.Errorf("%s: in the cache: %q", name, got)
		}
	}
}

// TestDisks fetches onto a disk that is full, one that says so before, and one that cannot be written.
func TestDisks(t *testing.T) {
	srv := newServer(t, 300_000)
	s := newStore(t, func(o *Options) { o.free = func(string) (int64, bool) { return 299_999, true } })
	_, err := s.fetch(t.Context(), srv.entry())
	if !errors.Is(err, ErrSpace) {
		t.Fatalf("got %v, want ErrSpace", err)
	}
	wantMessage(t, err, "fetch ", "299999 bytes are free in ", "make room, or set CAPTIONER_CACHE")

	dir := t.TempDir()
	if err := mount(dir); err != nil {
		t.Logf("a full disk and one that cannot be written are left out: mount a small one: %v", err)
		return
	}
	t.Cleanup(func() { unmount(dir) })
	s = newStore(t, func(o *Options) { o.Cache, o.free = dir, func(string) (int64, bool) { return 0, false } })
	_, err = s.fetch(t.Context(), srv.entry())
	if !errors.Is(err, ErrSpace) {
		t.Fatalf("got %v, want ErrSpace", err)
	}
	wantMessage(t, err, "fetch ", "no space left on device", "make room and run the same again, it goes on where it was")
	if hub.Regular(s.target(srv.entry())) {
		t.Error("half a file has the name of the whole")
	}
	if err := remountReadOnly(dir); err != nil {
		t.Fatal(err)
	}
	_, err = s.fetch(t.Context(), srv.entry())
	wantMessage(t, err, `fetch "test:one" from "`, "one.pt\": read-only file system", "set CAPTIONER_CACHE")
	e := srv.entry()
	e.Folder = "other"
	_, err = s.fetch(t.Context(), e)
	wantMessage(t, err, `fetch "test:one": lock `, "read-only file system", "set CAPTIONER_CACHE")
}
