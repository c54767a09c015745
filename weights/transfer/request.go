package transfer

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const maxRedirects = 10

// announcement is what the host that was asked says of a file before it sends elsewhere for the bytes.
type announcement struct {
	tag    Digest // of the whole file
	size   int64  // 0 where it does not say
	commit string // of the hub's repository
}

// resolve sets the address that is asked: the publisher's, the one of the hub that is set, or the mirror's.
func (j *transfer) resolve() {
	j.address = j.file.URL
	u, err := url.Parse(j.file.URL)
	mirror := j.client.mirror
	if mirror == nil || err != nil {
		return
	}
	m := *mirror
	m.Path += "/" + u.Host + u.Path
	m.RawQuery = u.RawQuery
	if j.file.Mirror != "" {
		m.Path, m.RawQuery = mirror.Path+"/"+j.file.Mirror, ""
	}
	j.address = m.String()
}

// get asks for a file from a byte on and follows redirects. Headers about the file are believed of the host that was
// asked only, and the token goes to the hub only, whatever the redirects are.
func (j *transfer) get(ctx context.Context, from int64, validator string) (*http.Response, announcement,
	error) {
	var t announcement
	at, err := url.Parse(j.address)
	if err != nil {
		return nil, t, err
	}
	asked := at
	for range maxRedirects {
		req, err := http.NewRequestWithContext(ctx, cmp.Or(j.method, http.MethodGet), at.String(), nil)
		if err != nil {
			return nil, t, err
		}
		req.Header.Set("User-Agent", "captioner")
		req.Header.Set("Accept-Encoding", "identity")
		if j.to > 0 {
			req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", from, j.to-1))
		} else if from > 0 {
			req.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
			if validator != "" {
				req.Header.Set("If-Range", validator)
			}
		}
		if j.file.Hub && j.client.Token != "" && sameHost(at, j.client.TokenFor) {
			req.Header.Set("Authorization", "Bearer "+j.client.Token)
		}
		resp, err := j.client.http.Do(req)
		if err != nil {
			return nil, t, err
		}
		if sameHost(at, asked) {
			t.learn(resp)
		}
		if !isRedirect(resp) {
			return resp, t, nil
		}
		io.CopyN(io.Discard, resp.Body, 4096) // so that the connection can be used again
		resp.Body.Close()
		location := resp.Header.Get("Location")
		next, err := at.Parse(location)
		if err != nil || location == "" || next.Scheme != "https" && next.Scheme != "http" {
			return nil, t, &redirectError{fmt.Sprintf("redirect to %q, want an address of https", location)}
		}
		if j.method == http.MethodHead && !sameHost(next, asked) {
			return resp, t, nil // the other host knows the bytes, and nothing more of the file
		}
		if at.Scheme == "https" && next.Scheme != "https" {
			return nil, t, &redirectError{fmt.Sprintf("redirect from https to %s://%s, want https", next.Scheme, next.Host)}
		}
		at = next
	}
	return nil, t, &redirectError{fmt.Sprintf("%d redirects, want an end of them", maxRedirects)}
}

type redirectError struct{ msg string }

func (e *redirectError) Error() string { return e.msg }

func isRedirect(r *http.Response) bool {
	switch r.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect,
		http.StatusPermanentRedirect:
		return true
	}
	return false
}

// sameHost compares scheme, host and port.
func sameHost(a, b *url.URL) bool { return a.Scheme == b.Scheme && strings.EqualFold(a.Host, b.Host) }

// learn reads the hub's headers; what was learnt on the way stays.
func (t *announcement) learn(r *http.Response) {
	if t.commit == "" && IsCommit(r.Header.Get("X-Repo-Commit")) {
		t.commit = r.Header.Get("X-Repo-Commit")
	}
	tag := r.Header.Get("X-Linked-Etag")
	if tag == "" && r.Header.Get("X-Repo-Commit") != "" {
		tag = r.Header.Get("ETag")
	}
	if d := HubDigest(tag); !d.None() {
		t.tag = d
	}
	if n, err := strconv.ParseInt(r.Header.Get("X-Linked-Size"), 10, 64); err == nil && n > 0 {
		t.size = n
	}
}

// IsCommit says whether s is a commit as git writes it out.
func IsCommit(s string) bool { return len(s) == 40 && strings.Trim(s, "0123456789abcdef") == "" }

// validatorOf returns what tells this version of a file from others: a strong entity tag, else a date, else nothing.
func validatorOf(r *http.Response) string {
	if tag := r.Header.Get("ETag"); strings.HasPrefix(tag, `"`) {
		return tag
	}
	return r.Header.Get("Last-Modified")
}

// contentRange reads "bytes FIRST-LAST/TOTAL", or "bytes */TOTAL" with first -1. Total is -1 where the server does not
// know it.
func contentRange(h string) (first, total int64, ok bool) {
	rest, ok1 := strings.CutPrefix(h, "bytes ")
	span, all, ok2 := strings.Cut(rest, "/")
	if !ok1 || !ok2 {
		return 0, 0, false
	}
	total = -1
	if all != "*" {
		n, err := strconv.ParseInt(all, 10, 64)
		if err != nil || n < 0 {
			return 0, 0, false
		}
		total = n
	}
	if span == "*" {
		return -1, total, true
	}
	from, _, ok3 := strings.Cut(span, "-")
	first, err := strconv.ParseInt(from, 10, 64)
	return first, total, ok3 && err == nil && first >= 0
}

// retryAfter reads what a server asks for: seconds or a date. More than two minutes are not waited.
func retryAfter(h string) time.Duration {
	d := time.Duration(0)
	if n, err := strconv.Atoi(h); err == nil {
		d = time.Duration(min(n, 3600)) * time.Second
	} else if t, err := http.ParseTime(h); err == nil {
		d = time.Until(t)
	}
	return min(max(d, 0), 2*time.Minute)
}

// netError says what is wrong with a connection that gave no answer, or not all of it.
func (j *transfer) netError(ctx context.Context, err error) error {
	if err := ctx.Err(); err != nil && !errors.Is(context.Cause(ctx), ErrStalled) {
		return err
	}
	e := &Error{Err: ErrNetwork, again: true,
		Remedy: "check the network; behind a proxy set HTTPS_PROXY; " + j.file.ByHand}
	var (
		dns      *net.DNSError
		op       *net.OpError
		cert     *tls.CertificateVerificationError
		record   tls.RecordHeaderError
		redirect *redirectError
	)
	switch {
	case errors.Is(context.Cause(ctx), ErrStalled):
		e.Err, e.Detail = ErrStalled, fmt.Sprintf("no byte in %v", j.client.Stall)
		e.Remedy = "the server or the network is overloaded: run the same again later, it goes on where it was"
	case errors.As(err, &redirect):
		e.Err, e.Detail, e.again = ErrServer, redirect.msg, false
	case errors.As(err, &cert):
		e.Detail, e.again = oneLine(Reason(err)), false
		e.Remedy = "where a proxy opens HTTPS, SSL_CERT_FILE must name its certificates; check the clock too"
	case errors.As(err, &record):
		e.Detail, e.again = oneLine(Reason(err)), false
		e.Remedy = "something that is no HTTPS server answers at this address: check HTTPS_PROXY and the mirror"
	case errors.As(err, &op) && op.Op == "proxyconnect":
		e.Detail = "proxy: " + oneLine(op.Err)
		e.Remedy = "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY"
	case errors.As(err, &dns):
		e.Detail = fmt.Sprintf("cannot find the host %q", dns.Name)
	default:
		e.Detail = oneLine(Reason(err))
	}
	return j.fail(e)
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// statusError says what an answer other than the file means.
func (j *transfer) statusError(r *http.Response) error {
	e := &Error{Err: ErrServer, Detail: fmt.Sprintf("server answered %s, want 200", statusOf(r))}
	if host := r.Request.URL.Host; host != "" && host != j.host() {
		e.Detail += fmt.Sprintf(" (redirected to %q)", host)
	}
	switch code := r.StatusCode; {
	case code == http.StatusNotFound || code == http.StatusGone:
		e.Err, e.Remedy = ErrNotFound, "the publisher may have moved it: see "+j.file.Origin
		if j.client.mirror != nil {
			e.Remedy = "the mirror lacks this file"
		}
	case code == http.StatusProxyAuthRequired:
		e.Err, e.Remedy = ErrDenied, "the proxy wants a name and a password: HTTPS_PROXY=http://NAME:PASSWORD@HOST:PORT"
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		e.Err, e.Remedy = ErrDenied, "a proxy, or the publisher's limit on downloads, may forbid it: "+j.file.ByHand
		if j.file.Hub {
			e.Remedy = "set HF_TOKEN to a token that may read it"
			if j.client.Token != "" {
				e.Remedy = "the token in HF_TOKEN may not read it, or has expired"
			}
		}
	case code == http.StatusTooManyRequests || code == http.StatusRequestTimeout || code >= 500:
		e.again, e.after = true, retryAfter(r.Header.Get("Retry-After"))
		e.Remedy = "the server is overloaded or broken: run the same again later, it goes on where it was"
	default:
		e.Remedy = "a proxy may have changed the request: " + j.file.ByHand
	}
	if j.file.Refused != nil {
		j.file.Refused(r, e)
	}
	return j.fail(e)
}
