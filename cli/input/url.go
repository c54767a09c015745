package input

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"captioner/cli/console"
)

// Fetcher gets images from the web, within limits.
type Fetcher struct {
	Limit   int64         // bytes of an image
	Timeout time.Duration // of an image, all tries and redirects together
	Private bool          // addresses of this machine and of private networks are allowed

	once   sync.Once
	client *http.Client
}

// IsURL says whether an argument is fetched and not read.
func IsURL(arg string) bool {
	lower := strings.ToLower(arg[:min(len(arg), 8)])
	return strings.HasPrefix(lower, "http://") || strings.HasPrefix(lower, "https://")
}

// body returns what reads the image at a URL.
func (f *Fetcher) body(address string) func(context.Context) ([]byte, error) {
	return func(ctx context.Context) ([]byte, error) { return f.Get(ctx, address) }
}

// Tries of a fetch, and the wait before the second; it doubles.
const (
	fetchTries = 3
	fetchWait  = 500 * time.Millisecond
)

// Get fetches one image.
func (f *Fetcher) Get(ctx context.Context, address string) ([]byte, error) {
	f.once.Do(f.connect)
	ctx, cancel := context.WithTimeoutCause(ctx, f.Timeout, fmt.Errorf("no whole answer within %v", f.Timeout))
	defer cancel()
	wait := fetchWait
	for try := 1; ; try++ {
		b, again, err := f.try(ctx, address)
		if err == nil || !again || try == fetchTries {
			return b, err
		}
		select {
		case <-time.After(wait):
			wait *= 2
		case <-ctx.Done():
			return nil, err
		}
	}
}

// connect sets up the client. What an address is, is looked at when the connection is made: a name that leads elsewhere
// the second time deceives nobody. A proxy would look names up itself, so the one of the environment is used only where
// private addresses are allowed.
func (f *Fetcher) connect() {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	transport := &http.Transport{
		DialContext: dialer.DialContext, TLSHandshakeTimeout: 10 * time.Second, DisableCompression: true,
		MaxResponseHeaderBytes: 64 << 10,
		MaxIdleConnsPerHost:    8, IdleConnTimeout: 30 * time.Second, ForceAttemptHTTP2: true,
	}
	if f.Private {
		transport.Proxy = http.ProxyFromEnvironment
	} else {
		dialer.Control = publicOnly
	}
	f.client = &http.Client{Transport: transport, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if len(via) > 5 {
			return errors.New("more than 5 redirects")
		}
		if r.URL.Scheme != "http" && r.URL.Scheme != "https" {
			return fmt.Errorf("redirect to a URL of scheme %q, want http or https", r.URL.Scheme)
		}
		return nil
	}}
}

// try fetches once, and says whether another try may do better.
func (f *Fetcher) try(ctx context.Context, address string) (_ []byte, again bool, _ error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, false, bareURL(err)
	}
	r.Header.Set("User-Agent", "captioner")
	r.Header.Set("Accept", "image/*")
	a, err := f.client.Do(r)
	if err != nil {
		return nil, !errors.Is(err, errPrivate) && temporary(err) && ctx.Err() == nil, late(ctx, bareURL(err))
	}
	defer a.Body.Close()
	if a.StatusCode != http.StatusOK {
		return nil, a.StatusCode == http.StatusTooManyRequests ||
			a.StatusCode >= 500, fmt.Errorf("HTTP status %s, want 200", strconv.Quote(a.Status))
	}
	if a.ContentLength > f.Limit {
		return nil, false, console.WithHint(fmt.Errorf("%d bytes, limit %d", a.ContentLength, f.Limit),
			"--url-max-mb sets the limit")
	}
	b, err := io.ReadAll(io.LimitReader(a.Body, f.Limit+1))
	if err != nil {
		return nil, ctx.Err() == nil, late(ctx, bareURL(err))
	}
	if int64(len(b)) > f.Limit {
		return nil, false, console.WithHint(fmt.Errorf("more than %d bytes", f.Limit), "--url-max-mb sets the limit")
	}
	return b, false, nil
}

// temporary tells a connection that broke from one that cannot be.
func temporary(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout() || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET)
}

// late says that the time was over, where that is the reason.
func late(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return console.WithHint(cause, "--url-timeout sets the limit")
	}
	return err
}

// bareURL leaves out what the line that reports an error says already.
func bareURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	if errors.Is(err, errPrivate) { // without the words of the dialer around it
		return console.WithHint(errPrivate, "--url-private allows them")
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the server closed the connection before the image was whole")
	}
	return err
}

var errPrivate = errors.New("the address is of this machine or a private network")

// publicOnly refuses a connection to an address that is not of the public Internet.
func publicOnly(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if !public(at.Addr()) {
		return errPrivate
	}
	return nil
}

// reserved are the blocks that net/netip does not know to be special: shared and benchmark networks, documentation, the
// old class E.
var reserved = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("fec0::/10"),
}

// translated are the blocks of IPv6 that carry an IPv4 address, and the byte at which it begins.
var translated = map[netip.Prefix]int{
	netip.MustParsePrefix("64:ff9b::/96"):   12,
	netip.MustParsePrefix("64:ff9b:1::/48"): 12,
	netip.MustParsePrefix("2002::/16"):      2,
	netip.MustParsePrefix("::/96"):          12,
}

func public(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	for _, p := range reserved {
		if p.Contains(a) {
			return false
		}
	}
	for p, at := range translated {
		if p.Contains(a) {
			b := a.As16()
			return public(netip.AddrFrom4([4]byte(b[at : at+4])))
		}
	}
	return true
}
