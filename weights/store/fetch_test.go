package store

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"captioner/weights/transfer"
)

// TestFetchFromBadServers fetches 100,000 bytes from servers that misbehave. Each way has its own message.
func TestFetchFromBadServers(t *testing.T) {
	const size = 100_000
	type answer = func(*server) http.HandlerFunc
	page := sends("<!DOCTYPE html><html><head><title>Sign in to &quot;Café&quot;</title></head></html>",
		"text/html; charset=utf-8", -1)
	for _, c := range []struct {
		name    string
		answers []answer
		unknown bool // nobody has published a checksum
		err     error
		text    string // in the error
		hint    string // in its remedy
		left    string // in the cache
		ranges  string // that were asked for
	}{
		{name: "good", left: "one.pt 100000", ranges: ""},
		{name: "good, no checksum known", unknown: true, left: "one.pt 100000, one.pt.sha256 73", ranges: ""},
		{
			name:    "cut twice",
			answers: []answer{cut(30_000), cut(50_000)},
			left:    "one.pt 100000",
			ranges:  ",bytes=30000-,bytes=80000-",
		},
		{name: "cut before the first byte", answers: []answer{cut(0), cut(0)}, left: "one.pt 100000", ranges: ",,"},
		{
			name:    "cut for good",
			answers: times[answer](3, cut(0)),
			err:     ErrCut,
			text:    "connection broke off after 0 of 100000 bytes",
			hint:    "run the same again, it goes on where it was",
			left:    "one.pt.part 0, one.pt.part.json",
		},
		{
			name:    "cut for good after some",
			answers: append([]answer{cut(70_000)}, times[answer](3, cut(0))...),
			err:     ErrCut,
			text:    "after 70000 of 100000 bytes",
			hint:    "goes on",
			left:    "one.pt.part 70000, one.pt.part.json",
		},
		{name: "stalls, then goes on", answers: []answer{stall(40_000)}, left: "one.pt 100000", ranges: ",bytes=40000-"},
		{
			name:    "stalls for good",
			answers: append([]answer{stall(40_000)}, times[answer](3, stall(0))...),
			err:     ErrStalled,
			text:    "no byte in 500ms after 40000 of 100000 bytes",
			hint:    "overloaded",
			left:    "one.pt.part 40000, one.pt.part.json",
		},
		{
			name:    "announces more than it sends",
			answers: times[answer](4, sends(string(content(size)), "application/octet-stream", size+50_000)),
			err:     ErrCut,
			text:    "connection broke off after 100000 of 150000 bytes",
			hint:    "run the same again",
			left:    "one.pt.part 100000, one.pt.part.json",
		},
		{
			name:    "announces less than it has",
			answers: []answer{sends(string(content(size)), "application/octet-stream", 5_000)},
			err:     ErrChecksum,
			text:    "SHA256 " + sum(content(size)[:5000]) + " of 5000 bytes, want " + sum(content(size)),
			hint:    "nothing was kept",
			left:    "",
		},
		{
			name:    "sends nothing",
			answers: []answer{sends("", "application/octet-stream", 0)},
			err:     ErrSize,
			text:    "server sent 0 bytes, want a file",
			hint:    "elsewhere",
			left:    "one.pt.part 0, one.pt.part.json",
		},
		{
			name:    "another file of the same length",
			answers: []answer{sends(strings.Repeat("\x80", size), "application/octet-stream", size)},
			err:     ErrChecksum,
			text:    "SHA256 ",
			hint:    "changed on the way, or at its publisher",
			left:    "",
		},
		{
			name:    "a page",
			answers: []answer{page},
			err:     ErrPage,
			text:    `found the web page "Sign in to \"Café\"", want the file`,
			hint:    "open the address in a browser",
			left:    "one.pt.part 0, one.pt.part.json",
		},
		{
			name:    "a page that says it is none",
			answers: []answer{sends("<html><body>hello", "application/octet-stream", -1)},
			err:     ErrPage,
			text:    "found a web page, want the file",
			hint:    "browser",
			left:    "one.pt.part 0, one.pt.part.json",
		},
		{
			name:    "a page instead of the rest",
			answers: []answer{cut(30_000), page},
			err:     ErrPage,
			text:    "web page",
			hint:    "browser",
			left:    "one.pt.part 0, one.pt.part.json",
		},
		{
			name:    "compressed",
			answers: []answer{says(200, "Content-Encoding", "br")},
			err:     ErrServer,
			text:    `compressed by "br"`,
			hint:    "proxy",
			left:    "one.pt.part 0, one.pt.part.json",
		},
		{
			name:    "404",
			answers: []answer{says(404)},
			err:     ErrNotFound,
			text:    "server answered 404 Not Found, want 200",
			hint:    "the publisher may have moved it: see https://example.org",
			left:    "one.pt.part 0, one.pt.part.json",
		},
		{
			name:    "410",
			answers: []answer{says(410)},
			err:     ErrNotFound,
			text:    "410 Gone",
			hint:    "moved",
			left:    "one.pt.part 0, one.pt.part.json",
		},
		{
			name:    "401",
			answers: []answer{says(401)},
			err:     ErrDenied,
			text:    "401 Unauthorized",
			hint:    "may forbid it",
			left:    "one.pt.part 0, one.pt.part.json",
		},
		{
			name:    "403",
			answers: []answer{says(403)},
			err:     ErrDenied,
			text:    "403 Forbidden",
			hint:    "may forbid it",
			left:    "one.pt.part 0, one.pt.part.json",
		},
		{
			name:    "407",
			answers: []answer{says(407)},
			err:     ErrDenied,
			text:    "407 Proxy",
			hint:    "HTTPS_PROXY=http://NAME:PASSWORD@HOST:PORT",
			left:    "one.pt.part 0, one.pt.part.json",
		},
		{name: "429 once", answers: []answer{says(429, "Retry-After", "0")}, left: "one.pt 100000"},
		{
			name:    "429 for good",
			answers: times[answer](3, says(429)),
			err:     ErrServer,
			text:    "429 Too Many Requests",
			hint:    "run the same again later",
			left:    "one.pt.part 0, one.pt.part.json",
		},
		{
			name:    "503 in the middle",
			answers: []answer{cut(30_000), says(503), says(500)},
			left:    "one.pt 100000",
			ranges:  ",bytes=30000-,bytes=30000-,bytes=30000-",
		},
		{
			name:    "500 for good",
			answers: times[answer](3, says(500)),
			err:     ErrServer,
			text:    "500 Internal Server Error",
			hint:    "overloaded or broken",
			left:    "one.pt.part 0, one.pt.part.json",
		},
		{
			name:    "418",
			answers: []answer{says(418)},
			err:     ErrServer,
			text:    "418",
			hint:    "elsewhere",
			left:    "one.pt.part 0, one.pt.part.json",
		},
		{
			name:    "the whole file when asked for the rest",
			answers: []answer{cut(30_000), sends(string(content(size)), "application/octet-stream", -1)},
			left:    "one.pt 100000",
		},
		{
			name:    "another part than was asked for",
			answers: []answer{cut(30_000), says(206, "Content-Range", "bytes 10-20/100000")},
			left:    "one.pt 100000",
			ranges:  ",bytes=30000-,",
		},
		{
			name:    "a part of nothing asked for",
			answers: times[answer](3, says(206, "Content-Range", "bytes 0-2/3")),
			err:     ErrServer,
			text:    `server sent the range "bytes 0-2/3", want it from byte 0`,
			hint:    "mixes up",
			left:    "one.pt.part 0, one.pt.part.json",
		},
		{
			name:    "a rest that is longer than announced",
			answers: []answer{cut(30_000), says(206, "Content-Range", "bytes 30000-30001/30002", "Content-Length", "3")},
			left:    "one.pt 100000",
		},
		{
			name:    "redirect to nowhere",
			answers: []answer{says(302)},
			err:     ErrServer,
			text:    `redirect to ""`,
			hint:    "elsewhere",
			left:    "one.pt.part 0, one.pt.part.json",
		},
		{
			name:    "redirect to a file of the disk",
			answers: []answer{says(302, "Location", "file:///etc/passwd")},
			err:     ErrServer,
			text:    `redirect to "file:///etc/passwd", want an address of https`,
			hint:    "elsewhere",
			left:    "one.pt.part 0, one.pt.part.json",
		},
		{
			name:    "redirects in a circle",
			answers: times[answer](10, says(302, "Location", "/models/one.pt")),
			err:     ErrServer,
			text:    "10 redirects",
			hint:    "elsewhere",
			left:    "one.pt.part 0, one.pt.part.json",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := newServer(t, size, c.answers...)
			s := newStore(t, nil)
			e := srv.entry()
			if c.unknown {
				e.Files[0].SHA256 = ""
			}
			r, err := s.fetch(t.Context(), e)
			if !errors.Is(err, c.err) || c.err == nil && err != nil {
				t.Fatalf("got %v, want %v", err, c.err)
			}
			if c.err != nil {
				wantMessage(t, err, `fetch "test:one" from "`+srv.URL+`/models/one.pt": `, c.text, c.hint)
			} else if b, err := os.ReadFile(r.Path); err != nil || sum(b) != sum(srv.body) || !r.Fetched {
				t.Errorf("got %d bytes at %q, fetched %v (%v), want the file", len(b), r.Path, r.Fetched, err)
			}
			if got := leftover(t, filepath.Join(s.o.Cache, "weights", "test")); got != c.left {
				t.Errorf("in the cache: got %q, want %q", got, c.left)
			}
			if got := srv.ranges(); c.ranges != "" && got != c.ranges {
				t.Errorf("asked for the ranges %q, want %q", got, c.ranges)
			}
		})
	}
}

// wantMessage checks that an error is one line that says these things, with a remedy.
func wantMessage(t *testing.T, err error, begin, text, hint string) {
	t.Helper()
	var h interface{ Hint() string }
	if !errors.As(err, &h) {
		t.Fatalf("%v: no hint", err)
	}
	if s := err.Error(); !strings.HasPrefix(s, begin) || !strings.Contains(s, text) || strings.ContainsAny(s+h.Hint(),
		"\r\n") {
		t.Errorf("got %q, want one line that begins with %q and says %q", s, begin, text)
	}
	if !strings.Contains(h.Hint(), hint) || h.Hint() == "" {
		t.Errorf("got the hint %q, want one that says %q", h.Hint(), hint)
	}
}

func TestFetchTwice(t *testing.T) {
	srv, s := newServer(t, 1000), newStore(t, nil)
	first, err := s.fetch(t.Context(), srv.entry())
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.fetch(t.Context(), srv.entry())
	if err != nil || again.Fetched || again.Path != first.Path || again.Files[0] != first.Files[0] ||
		len(srv.requests()) != 1 {
		t.Errorf("got %+v, %v after %d requests, want %+v, not fetched again", again, err, len(srv.requests()), first)
	}
	if err := os.WriteFile(first.Path, srv.body[:999], 0o666); err != nil {
		t.Fatal(err)
	}
	_, err = s.fetch(t.Context(), srv.entry())
	wantMessage(t, err, `check "test:one": "`+first.Path+`": SHA256 `, " of 999 bytes, want "+sum(srv.body), "delete ")
	if !errors.Is(err, ErrChecksum) {
		t.Errorf("got %v, want ErrChecksum", err)
	}
}

// TestGoOnLater fetches in two runs, as after a machine that was switched off.
func TestGoOnLater(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(srv *server, part string)
		ranges string
	}{
		{"the same file", func(*server, string) {}, ",bytes=60000-,bytes=60000-"},
		{"the part was damaged", func(_ *server, part string) { spoil(t, part) }, ",bytes=60000-,bytes=60000-,"},
		{"the note was lost", func(_ *server, part string) { os.Remove(part + ".json") }, ",bytes=60000-,"},
		{"the note is of another file", func(_ *server, part string) {
			os.WriteFile(part+".json", []byte(`{"url":"https://example.org/other"}`), 0o666)
		}, ",bytes=60000-,"},
		{
			"all of it had come",
			func(srv *server, part string) { os.WriteFile(part, srv.body, 0o666) },
			",bytes=60000-,bytes=100000-",
		},
		{
			"more than all of it",
			func(srv *server, part string) { os.WriteFile(part, append(srv.body, 1), 0o666) },
			",bytes=60000-,bytes=100001-,",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := newServer(t, 100_000, cut(60_000), cut(0))
			s := newStore(t, func(o *Options) { o.Attempts = 1 })
			if _, err := s.fetch(t.Context(), srv.entry()); !errors.Is(err, ErrCut) {
				t.Fatalf("got %v, want ErrCut", err)
			}
			target := s.target(srv.entry())
			c.change(srv, target+transfer.PartSuffix)
			s.client.Attempts = 2
			if _, err := s.fetch(t.Context(), srv.entry()); err != nil {
				t.Fatal(err)
			}
			if got := srv.ranges(); got != c.ranges {
				t.Errorf("asked for the ranges %q, want %q", got, c.ranges)
			}
			if got := leftover(t, filepath.Dir(target)); got != "one.pt 100000" {
				t.Errorf("in the cache: got %q, want the file alone", got)
			}
			if r := srv.requests()[2]; r.Header.Get("Range") != "" && r.Header.Get("If-Range") == "" {
				t.Error("asked for a range without If-Range: the file may have changed")
			}
		})
	}
}

func spoil(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[100]++
	if err := os.WriteFile(path, b, 0o666); err != nil {
		t.Fatal(err)
	}
}

func TestFileChangesMeanwhile(t *testing.T) {
	srv := newServer(t, 100_000, cut(60_000), cut(0))
	s := newStore(t, func(o *Options) { o.Attempts = 1 })
	e := srv.entry()
	e.Files[0].SHA256 = ""
	if _, err := s.fetch(t.Context(), e); !errors.Is(err, ErrCut) {
		t.Fatalf("got %v, want ErrCut", err)
	}
	srv.body = content(90_001)
	srv.body[7] = 0
	if _, err := s.fetch(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(s.target(e)); err != nil || sum(b) != sum(srv.body) {
		t.Errorf("got a mixture of two files (%v)", err)
	}
}

func TestCancelKeepsThePart(t *testing.T) {
	srv := newServer(t, 100_000, stall(40_000))
	ctx, cancel := context.WithCancel(t.Context())
	s := newStore(t, func(o *Options) {
		o.Stall = time.Minute
		o.Progress = func(p Progress) {
			if p.Done == 40_000 {
				cancel()
			}
		}
	})
	if _, err := s.fetch(ctx, srv.entry()); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want context.Canceled", err)
	}
	if st := s.partSize(srv.entry()); st != 40_000 {
		t.Errorf("got %d bytes left, want 40000", st)
	}
	s.client.Progress = nil
	if _, err := s.fetch(t.Context(), srv.entry()); err != nil || !strings.HasSuffix(srv.ranges(), "bytes=40000-") {
		t.Errorf("got %v with the ranges %q, want it to go on", err, srv.ranges())
	}
}

func TestNoServer(t *testing.T) {
	srv, s := newServer(t, 10), newStore(t, nil)
	srv.Close()
	e := srv.entry()
	_, err := s.fetch(t.Context(), e)
	if !errors.Is(err, ErrNetwork) {
		t.Fatalf("got %v, want ErrNetwork", err)
	}
	wantMessage(t, err, `fetch "test:one" from "`, "connection refused",
		"behind a proxy set HTTPS_PROXY; download "+e.Files[0].URL+" elsewhere and put it at \""+s.target(e))

	offline := newStore(t, func(o *Options) { o.Offline = true })
	_, err = offline.fetch(t.Context(), e)
	if !errors.Is(err, ErrOffline) {
		t.Fatalf("got %v, want ErrOffline", err)
	}
	wantMessage(t, err, "fetch ", "no network may be used (HF_HUB_OFFLINE or --offline)",
		"unset HF_HUB_OFFLINE and leave out --offline, or download "+e.Files[0].URL)
}

func TestFormatIsChecked(t *testing.T) {
	srv := newServer(t, 1000)
	s := newStore(t, func(o *Options) {
		o.Check = func(path, format string) error {
			if b, err := os.ReadFile(path); err != nil || sum(b) != sum(srv.body) || format != "pytorch" {
				t.Errorf("asked to check %q as %q (%v)", path, format, err)
			}
			return errors.New("wrong magic")
		}
	})
	e := srv.entry()
	e.Files[0].SHA256 = ""
	_, err := s.fetch(t.Context(), e)
	if !errors.Is(err, ErrFormat) {
		t.Fatalf("got %v, want ErrFormat", err)
	}
	wantMessage(t, err, "fetch ", "found no pytorch file: wrong magic", "nothing was kept")
	if got := leftover(t, s.o.Cache); got != "" {
		t.Errorf("in the cache: %q, want nothing", got)
	}
}

func TestMirrors(t *testing.T) {
	srv := newServer(t, 5000)
	e := srv.entry()
	e.Files[0].URL = "https://weights.example/models/one.pt?x=1"

	s := newStore(t, func(o *Options) { o.Mirror = srv.URL + "/mirror/" })
	if _, err := s.fetch(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if got, want := srv.requests()[0].URL.String(), "/mirror/weights.example/models/one.pt?x=1"; got != want {
		t.Errorf("asked the mirror for %q, want %q", got, want)
	}

	dir := t.TempDir()
	s = newStore(t, func(o *Options) { o.Mirror, o.Offline = dir, true })
	_, err := s.fetch(t.Context(), e)
	wantMessage(t, err, "fetch ", "404", "the mirror lacks this file")
	if err := os.MkdirAll(filepath.Join(dir, "weights.example/models"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "weights.example/models/one.pt"), srv.body, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := s.fetch(t.Context(), e); err != nil {
		t.Error(err)
	}

	for mirror, text := range map[string]string{"ftp://x": "found no address",
		filepath.Join(dir, "none"): "no such file", "https://": "found no address"} {
		_, err := New(Options{Cache: dir, HubCache: dir, HubURL: DefaultHubURL, Attempts: 1, Stall: 1, Mirror: mirror})
		wantMessage(t, err, "mirror ", text, "mirror")
	}
}

func TestConfirmationPage(t *testing.T) {
	const form = `<html><form id="download-form" action="/really" method="get"><input type="hidden" name="id" ` +
		`value="a&amp;b"><input type="hidden" name="confirm" value="t"></form></html>`
	srv := newServer(t, 1000, sends(form, "text/html", -1))
	if _, err := newStore(t, nil).fetch(t.Context(), srv.entry()); err != nil {
		t.Fatal(err)
	}
	if got := srv.requests()[1].URL.String(); got != "/really?confirm=t&id=a%26b" {
		t.Errorf("answered the page by asking for %q", got)
	}
	for _, page := range []string{form, strings.Replace(form, "/really", "https://evil.example/x", 1)} {
		srv = newServer(t, 1000, sends(page, "text/html", -1), sends(page, "text/html", -1))
		if _, err := newStore(t, nil).fetch(t.Context(), srv.entry()); !errors.Is(err, ErrPage) {
			t.Errorf("page %q: got %v, want ErrPage", page, err)
		}
	}
}
