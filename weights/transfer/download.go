package transfer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// File is one file to download.
type File struct {
	Entry  string // what it belongs to, for messages and progress
	Name   string // for progress
	URL    string // of the publisher
	Mirror string // path below a mirror, where host and path of the URL do not tell it from others; or empty
	Want   Digest // its checksum, where somebody vouches for it
	Size   int64  // bytes, where somebody says so; 0 where nobody does
	Origin string // a page for people
	ByHand string // how to bring it here without this program

	// It is of the Hugging Face hub: the token may be needed, and the hub's word on the checksum counts more than Want.
	Hub bool
	// The name of the part tells its content, Want, so that nothing else has to: it is PATH.incomplete, as
	// huggingface_hub names it, and what anybody else says of the checksum does not count.
	ByContent bool
	// Refused may say more of an answer that is not the file; nil for nothing.
	Refused func(r *http.Response, e *Error)
}

// transfer is one file on its way.
type transfer struct {
	client  *Client
	file    File
	method  string // GET where it is empty
	address string // that is asked: of a mirror, or the file's URL
	want    Digest // from who asked, then from the host that was asked
	commit  string // that the hub named
	to      int64  // where a part ends that is asked for; 0 is the end of the file

	confirmed bool  // a page that asks whether one really wants the file was answered
	announced int64 // bytes, by the host that was asked; 0 where it did not say
}

func (c *Client) transfer(f File) *transfer { return &transfer{client: c, file: f, want: f.Want} }

func (j *transfer) host() string {
	u, err := url.Parse(j.address)
	if err != nil {
		return ""
	}
	return u.Host
}

// fail completes an error with what every error says.
func (j *transfer) fail(e *Error) error {
	e.Name, e.URL = j.file.Entry, j.address
	return e
}

// Fault is an error about a file, of somebody who looked into it.
func (c *Client) Fault(f File, e *Error) error {
	j := c.transfer(f)
	j.resolve()
	return j.fail(e)
}

// DiskError says what is wrong with the place that a file goes to.
func (c *Client) DiskError(f File, path string, err error) error {
	j := c.transfer(f)
	j.resolve()
	return j.diskError(path, err)
}

// Result is what is known of a file that was downloaded whole.
type Result struct {
	Sum     string // SHA-256
	Size    int64
	Checked string // the kind of checksum that was right, or "length"
	Tag     Digest // that it has on the hub
	Commit  string // that the hub named
}

// Download fetches a file into the part of path and checks it. The part is open; its Finish gives it its name. On
// failure the part stays for the next time, unless its content is wrong. The caller holds a lock on the path.
//
// Errors are *Error for what the network or the disk did, and the context's.
func (c *Client) Download(ctx context.Context, f File, path string) (*Part, Result, error) {
	var out Result
	j := c.transfer(f)
	j.resolve()
	if !c.Reaches() {
		return nil, out, j.fail(&Error{Err: ErrOffline, Detail: OfflineDetail, Remedy: OfflineHint + ", or " + j.file.ByHand})
	}
	p, err := openPart(path, j)
	if err != nil {
		return nil, out, j.diskError(path, err)
	}
	for {
		joined := p.size > 0
		if err := j.retry(ctx, p, &joined); err != nil {
			p.f.Close()
			return nil, out, err
		}
		out, err = j.check(p)
		if err == nil {
			return p, out, nil
		}
		if !errors.Is(err, ErrChecksum) || !joined {
			p.Remove()
			return nil, out, err
		}
		// What came over two connections, or was written before the machine went down, need not belong together.
		j.client.notice("%s: the checksum is wrong after going on from an earlier fetch: fetching it from the start",
			j.file.Name)
		if err := p.reset(note{URL: j.file.URL}); err != nil {
			p.f.Close()
			return nil, out, j.diskError(path, err)
		}
	}
}

// retry tries until the file is whole, or until several tries in a row have brought nothing new.
func (j *transfer) retry(ctx context.Context, p *Part, joined *bool) error {
	tries := j.client.tries(j.file.Name)
	best := p.size
	for {
		err := j.attempt(ctx, p)
		if err == nil {
			return nil
		}
		progress := p.size > best
		best = max(best, p.size)
		if err := tries.again(ctx, err, progress, p.size > 0); err != nil {
			return err
		}
		*joined = *joined || p.size > 0
	}
}

// attempt asks for what is missing and writes what comes.
func (j *transfer) attempt(parent context.Context, p *Part) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	watch := time.AfterFunc(j.client.Stall, func() { cancel(ErrStalled) })
	defer watch.Stop()

	resp, t, err := j.get(ctx, p.size, p.note.Validator)
	if err != nil {
		return j.netError(ctx, err)
	}
	defer resp.Body.Close()
	j.learn(resp, t)
	total, err := j.begin(p, resp)
	if err != nil || total == p.size {
		return err
	}
	body := bufio.NewReaderSize(resp.Body, 1<<16)
	if p.size == 0 {
		if err := j.refusePage(parent, p, resp, body); err != nil {
			return err
		}
	}
	if err := j.refuseSize(p, resp, total); err != nil {
		return err
	}
	return j.receive(ctx, p, body, total, watch)
}

// learn takes over what the answer says of the whole file. The hub's word counts more than the manifest's: its files
// may have changed.
func (j *transfer) learn(r *http.Response, t announcement) {
	if t.commit != "" {
		j.commit = t.commit
	}
	if j.announced = max(t.size, j.file.Size); j.file.Hub && !j.file.ByContent && !t.tag.None() {
		j.want = t.tag
	}
	if ok := r.StatusCode == http.StatusOK || r.StatusCode == http.StatusPartialContent; ok &&
		(j.want.None() || j.want.Kind == "md5" || j.want.Kind == "crc32c") {
		j.want = serverDigest(r)
	}
}

func (d Digest) String() string {
	if d.None() {
		return ""
	}
	return d.Kind + ":" + d.Hex
}

// begin decides by the status of an answer where its bytes belong, and returns how many the whole file has: -1 if that
// is unknown, and as many as the part has if there is nothing left to fetch.
func (j *transfer) begin(p *Part, r *http.Response) (int64, error) {
	n := note{URL: j.file.URL, Want: j.want.String(), Validator: validatorOf(r)}
	restart := func(detail string) (int64, error) {
		if err := p.reset(note{URL: j.file.URL}); err != nil {
			return 0, j.diskError(p.path, err)
		}
		return 0, j.fail(&Error{Err: ErrServer, Detail: detail, again: true,
			Remedy: "a proxy or the server mixes up parts of files: " + j.file.ByHand})
	}
	switch r.StatusCode {
	case http.StatusOK: // the whole file, whatever was asked for
		if err := p.reset(n); err != nil {
			return 0, j.diskError(p.path, err)
		}
		if r.ContentLength == 0 {
			return 0, j.fail(&Error{Err: ErrSize, Detail: "server sent 0 bytes, want a file", Remedy: j.file.ByHand})
		}
		return length(r), nil
	case http.StatusPartialContent:
		first, total, ok := contentRange(r.Header.Get("Content-Range"))
		if !ok || first != p.size || p.size == 0 {
			return restart(fmt.Sprintf("server sent the range %q, want it from byte %d", r.Header.Get("Content-Range"), p.size))
		}
		if p.note.Want != n.Want && p.note.Want != "" && n.Want != "" {
			return restart("the file has changed since the fetch began")
		}
		if total >= 0 && total <= p.size {
			return restart(fmt.Sprintf("server says %d bytes, found %d already", total, p.size))
		}
		return total, nil
	case http.StatusRequestedRangeNotSatisfiable:
		if p.size == 0 {
			break
		}
		_, total, _ := contentRange(r.Header.Get("Content-Range"))
		if total == p.size || !j.want.None() && total < 0 {
			return p.size, nil // all of it came before; its checksum is still to be checked
		}
		return restart(fmt.Sprintf("server has no bytes from %d on", p.size))
	}
	return 0, j.statusError(r)
}

// length is the length of a whole answer, -1 if it is unknown.
func length(r *http.Response) int64 {
	if r.ContentLength > 0 {
		return r.ContentLength
	}
	return -1
}

// refusePage looks at the first bytes: login pages, proxies and warnings come with status 200 too.
func (j *transfer) refusePage(ctx context.Context, p *Part, r *http.Response, body *bufio.Reader) error {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	head, _ := body.Peek(512) // a connection that breaks here breaks again when it is read
	sniffed, _, _ := strings.Cut(http.DetectContentType(head), ";")
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return j.fail(&Error{Err: ErrServer, Detail: fmt.Sprintf("server sent it compressed by %q, want it as it is", e),
			Remedy: "a proxy changes it on the way: " + j.file.ByHand})
	}
	if kind != "text/html" && sniffed != "text/html" {
		return nil
	}
	page, _ := io.ReadAll(io.LimitReader(body, 1<<18))
	if next, ok := confirmation(r.Request.URL, page); ok && !j.confirmed {
		j.confirmed, j.address = true, next
		return j.attempt(ctx, p)
	}
	detail := "found a web page, want the file"
	if t := title(page); t != "" {
		detail = fmt.Sprintf("found the web page %q, want the file", t)
	}
	hint := "a proxy or a login page answers instead of the server: open the address in a browser; "
	if strings.HasSuffix(r.Request.URL.Hostname(), ".google.com") {
		hint = "Google Drive refuses a file that was downloaded often: try again tomorrow; "
	}
	return j.fail(&Error{Err: ErrPage, Detail: detail, Remedy: hint + j.file.ByHand})
}

// refuseSize refuses, before anything is written, what cannot end well.
func (j *transfer) refuseSize(p *Part, r *http.Response, total int64) error {
	if j.announced > 0 && total >= 0 && j.announced != total {
		return j.fail(&Error{Err: ErrSize, Detail: fmt.Sprintf("server sends %d bytes, want the %d that it announced",
			total, j.announced),
			Remedy: "a proxy or a mirror has another file: " + j.file.ByHand})
	}
	if free, ok := j.client.Free(filepath.Dir(p.path)); ok && total >= 0 && total-p.size > free {
		return j.fail(&Error{Err: ErrSpace, Detail: fmt.Sprintf("%s are free in %q, want %s", Megabytes(free),
			filepath.Dir(p.path), Megabytes(total-p.size)),
			Remedy: "make room, or set CAPTIONER_CACHE (HF_HOME for models of the hub) to a folder on another disk"})
	}
	return nil
}

// receive writes the bytes of an answer behind the part.
func (j *transfer) receive(ctx context.Context, p *Part, body io.Reader, total int64,
	watch *time.Timer) error {
	buf := make([]byte, 1<<18)
	for {
		n, err := body.Read(buf)
		if n > 0 {
			watch.Reset(j.client.Stall)
			if total >= 0 && p.size+int64(n) > total {
				return j.fail(&Error{Err: ErrSize, Detail: fmt.Sprintf("server sent more than the %d bytes that it announced",
					total), again: true,
					Remedy: "a proxy or the server mixes up lengths: " + j.file.ByHand})
			}
			if err := p.write(buf[:n]); err != nil {
				return j.diskError(p.path, err)
			}
			j.progress(p.size, total)
		}
		switch {
		case err == io.EOF && (total < 0 || p.size == total):
			return nil
		case err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) || err != nil && ctx.Err() == nil:
			return j.fail(&Error{Err: ErrCut, Detail: "connection broke off after " + ofTotal(p.size, total), again: true,
				Remedy: "run the same again, it goes on where it was"})
		case err != nil:
			err = j.netError(ctx, err)
			var e *Error
			if errors.As(err, &e) {
				e.Detail += " after " + ofTotal(p.size, total)
			}
			return err
		}
	}
}

func ofTotal(n, total int64) string {
	if total < 0 {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%d of %d bytes", n, total)
}

func (j *transfer) progress(done, total int64) {
	if j.client.Progress != nil {
		j.client.Progress(Progress{Entry: j.file.Entry, File: j.file.Name, Done: done, Total: max(total, 0)})
	}
}

// check reads the whole part from the disk again: what counts is what stands there.
func (j *transfer) check(p *Part) (Result, error) {
	sum, got, err := Digests(p.File(), j.want)
	if err != nil {
		return Result{}, j.diskError(p.path, err)
	}
	out := Result{Sum: sum, Size: p.size, Checked: got.Kind, Tag: j.want, Commit: j.commit}
	if j.want.None() {
		out.Checked = "length"
		return out, nil
	}
	if got != j.want {
		detail := fmt.Sprintf("%s %s of %d bytes, want %s", strings.ToUpper(got.Kind), got.Hex, p.size, j.want.Hex)
		return out, j.fail(&Error{Err: ErrChecksum, Detail: detail,
			Remedy: "the file was changed on the way, or at its publisher: nothing was kept; try another network or mirror"})
	}
	return out, nil
}

// diskError says what is wrong with the cache.
func (j *transfer) diskError(path string, err error) error {
	e := &Error{Err: Reason(err), Detail: fmt.Sprintf("write %q: %v", path, Reason(err)),
		Remedy: "set CAPTIONER_CACHE (HF_HOME for models of the hub) to a folder that can be written"}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		e.Err, e.Remedy = ErrSpace, "make room and run the same again, it goes on where it was"
	}
	return j.fail(e)
}
