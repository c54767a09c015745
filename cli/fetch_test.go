package cli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"captioner/cli/console"
)

func TestURLs(t *testing.T) {
	red := pictureBytes(t, "red")
	tries := 0
	mux := http.NewServeMux()
	picture := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, red) }
	mux.HandleFunc("/red.png", picture)
	mux.HandleFunc("/again", func(w http.ResponseWriter, r *http.Request) {
		if tries++; tries == 1 {
			http.Error(w, "later", http.StatusServiceUnavailable)
			return
		}
		picture(w, r)
	})
	mux.HandleFunc("/moved", func(w http.ResponseWriter,
		r *http.Request) {
		http.Redirect(w, r, "/red.png", http.StatusFound)
	})
	mux.HandleFunc("/circle", func(w http.ResponseWriter,
		r *http.Request) {
		http.Redirect(w, r, "/circle", http.StatusFound)
	})
	mux.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
	})
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1048577")
		w.Write(make([]byte, 1<<20+1))
	})
	mux.HandleFunc("/endless", func(w http.ResponseWriter, _ *http.Request) {
		for range 40 {
			w.Write(make([]byte, 64<<10))
			w.(http.Flusher).Flush()
		}
	})
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, red[:20])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	mux.HandleFunc("/page", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<!DOCTYPE html>") })
	mux.HandleFunc("/cut", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		fmt.Fprint(w, "x")
		panic(http.ErrAbortHandler)
	})
	s := httptest.NewServer(mux)
	defer s.Close()

	for path, want := range map[string]string{
		"/red.png": "a red picture", "/again": "a red picture", "/moved": "a red picture",
		"/circle": "more than 5 redirects", "/file": `redirect to a URL of scheme "file"`, "/large": "1048577 bytes, " +
			"limit 1048576 (--url-max-mb sets",
		"/endless": "more than 1048576 bytes", "/slow": "no whole answer within 2s (--url-timeout " +
			"sets", "/page": "unknown format that starts with",
		"/cut": "the server closed the connection", "/nothing": `HTTP status "404 Not Found", want 200`,
	} {
		code, got, msg := run(t, s.URL+path+"\n", "predict", "-q", "--url-private", "--url-timeout", "2s", "--url-max-mb",
			"1", "-")
		failed := !strings.HasPrefix(want, "a ")
		if failed && (code != console.ExitSome || !strings.Contains(msg, want) || strings.Count(msg, "\n") != 1) ||
			!failed && got != s.URL+path+"\t"+want+"\n" {
			t.Errorf("%s: exit code %d, got %q and %q, want %q", path, code, got, msg, want)
		}
	}
	// By default neither this machine nor a name or a redirect that leads to it.
	out := httptest.NewServer(http.RedirectHandler(s.URL+"/red.png", http.StatusFound))
	defer out.Close()
	for _, address := range []string{s.URL, strings.Replace(s.URL, "127.0.0.1", "localhost", 1),
		strings.Replace(s.URL, "127.0.0.1", "[::ffff:127.0.0.1]", 1), out.URL} {
		if code, _, msg := run(t, "", "predict", "-q", address+"/red.png"); code != console.ExitSome ||
			!strings.Contains(msg, "this machine or a private network (--url-private") {
			t.Errorf("%s: exit code %d, %s", address, code, msg)
		}
	}
}
