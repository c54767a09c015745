package transfer

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

// FuzzPage reads pages as servers may send them: the address that one leads to stays with its host, or with Google.
func FuzzPage(f *testing.F) {
	f.Add(`<form id="download-form" action="/x" method="get"><input type="hidden" name="id" value="1"></form>`)
	f.Add(`<form id="downloadform" action="https://drive.google.com/uc"><input type="hidden" name="confirm" value="t">`)
	f.Add(`<form id="download-form" action="//evil.example/x"><title>a&amp;b</title>`)
	f.Add("<TITLE\n>\xff\u00e9</TITLE>")
	at, err := url.Parse("https://host.example/models/one.pt")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, page string) {
		if next, ok := confirmation(at, []byte(page)); ok {
			u, err := url.Parse(next)
			if err != nil || u.Host != at.Host && !strings.HasSuffix(u.Hostname(), ".google.com") || u.Scheme != "https" {
				t.Errorf("page %q leads to %q", page, next)
			}
		}
		if s := title([]byte(page)); len([]rune(s)) > 80 || strings.ContainsAny(s, "\r\n") {
			t.Errorf("page %q has the title %q", page, s)
		}
	})
}

// FuzzHeaders reads what servers say of a file.
func FuzzHeaders(f *testing.F) {
	for _, s := range []string{"bytes 0-1/2", "bytes */5", "bytes 5-/*", "bytes -1-2/-3",
		"bytes 99999999999999999999-1/2", "120", "Wed, 21 Oct 2015 07:28:00 GMT", `W/"0123"`, `"` + strings.Repeat("a",
			64) + `"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if first, total, ok := contentRange(s); ok && (first < -1 || total < -1) {
			t.Errorf("contentRange(%q): got %d of %d", s, first, total)
		}
		if d := retryAfter(s); d < 0 || d > 2*time.Minute {
			t.Errorf("retryAfter(%q): got %v", s, d)
		}
		if d := HubDigest(s); !d.None() && len(d.Hex) != 40 && len(d.Hex) != 64 {
			t.Errorf("HubDigest(%q): got %v", s, d)
		}
	})
}
