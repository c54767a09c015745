// Package transfer downloads files so that only what is whole and right gets its name.
//
// A file is PATH.part until its checksum was right. A download that was cut, or killed, goes on from there. What fails
// is tried again as long as that brings something new. Redirects are followed by hand: what the host that was asked
// says of a file is believed, and a token is sent to one host and to nobody else.
//
// The package reads no variable and prints nothing: see the callbacks of [Settings].
package transfer

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// Settings say how files are downloaded.
type Settings struct {
	Token    string   // sent to the host of TokenFor only; may be empty
	TokenFor *url.URL // the Hugging Face hub, or a mirror of it with the same paths
	Offline  bool     // use no network; a Mirror that is a folder is none
	Mirror   string   // base URL or folder that holds HOST/PATH of each address; empty for none

	Attempts int           // tries that bring nothing new before a download gives up; 1 or more
	Backoff  time.Duration // before the second try; doubles up to a minute
	Stall    time.Duration // without a byte, after which a connection is given up; more than 0

	// nil: HTTP and HTTPS through the proxy that HTTP_PROXY, HTTPS_PROXY and NO_PROXY name
	Transport http.RoundTripper
	Progress  func(p Progress)  // called from the downloading goroutine, often; nil for none
	Notice    func(text string) // says in a line why a download waits or begins again; nil for none

	Free func(folder string) (int64, bool) // bytes that its disk has left; nil asks the system
}

// Progress is how much of a file there is.
type Progress struct {
	Entry, File string
	Done, Total int64 // bytes; Total is 0 where it is not known. What a resumed download found counts as done
}

// Client downloads. It is safe for concurrent use as far as the callbacks are.
type Client struct {
	Settings
	mirror *url.URL // nil for none
	http   *http.Client
}

// New checks the settings. It touches neither disk nor network, but for a mirror that is a folder.
func New(s Settings) (*Client, error) {
	if s.Attempts < 1 || s.Stall <= 0 || s.Backoff < 0 {
		return nil, fmt.Errorf("%d attempts, back-off %v, stall %v: want 1 or more, 0 or more, more than 0",
			s.Attempts, s.Backoff, s.Stall)
	}
	c := &Client{Settings: s}
	transport := s.Transport
	if s.Mirror != "" {
		var err error
		if strings.Contains(s.Mirror, "://") {
			c.mirror, err = ParseBase("mirror", s.Mirror)
		} else {
			c.mirror, transport, err = folderMirror(s.Mirror)
		}
		if err != nil {
			return nil, err
		}
	}
	if transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.DisableCompression = true // lengths and ranges are those of the file itself
		transport = t
	}
	if c.Free == nil {
		c.Free = freeSpace
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.http = &http.Client{Transport: transport, CheckRedirect: stay}
	return c, nil
}

// Mirrored says whether files come from a mirror, and not from their publishers.
func (c *Client) Mirrored() bool { return c.mirror != nil }

// Reaches says whether a download may use anything at all: a network, or a mirror that is a folder.
func (c *Client) Reaches() bool { return !c.Offline || c.mirror != nil && c.mirror.Scheme == "file" }

// ParseBase reads the address of a server from a setting of that name.
func ParseBase(setting, text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return nil, &SettingError{fmt.Errorf("%s %q: found no address, want https://HOST/PATH", setting, text),
			"a mirror that is a folder is given by its path"}
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	return u, nil
}

// folderMirror serves a folder as if it were a server.
func folderMirror(dir string) (*url.URL, http.RoundTripper, error) {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("found a file")
	}
	if err != nil {
		return nil, nil, &SettingError{fmt.Errorf("mirror %q: %w, want a folder or https://HOST/PATH", dir, Reason(err)),
			"a mirror holds each file under HOST/PATH of its address, as wget -x leaves it"}
	}
	t := new(http.Transport)
	t.RegisterProtocol("file", http.NewFileTransport(http.Dir(dir)))
	return &url.URL{Scheme: "file", Path: ""}, t, nil
}

// notice tells the caller why a download waits or begins again.
func (c *Client) notice(format string, args ...any) {
	if c.Notice != nil {
		c.Notice(fmt.Sprintf(format, args...))
	}
}

// pause waits, unless the context ends first.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
