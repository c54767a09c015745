package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// Remote is a published file that is read in parts and not kept as a whole, such as an archive of which the members are
// kept. Any number of goroutines may read from it.
type Remote struct {
	c    *Client
	name string
	url  string

	mu        sync.Mutex
	validator string // of the version that the first part was of
	reached   bool   // a server has answered
}

// Remote prepares for reading from an address, through the mirror if one is set. It asks for nothing yet.
func (c *Client) Remote(name, url string) *Remote { return &Remote{c: c, name: name, url: url} }

// Size asks how many bytes the file has.
func (r *Remote) Size(ctx context.Context) (n int64, err error) {
	err = r.retry(ctx, func(ctx context.Context, j *transfer, watch *time.Timer) (bool, error) {
		j.to = 1
		resp, err := r.ask(ctx, j, 0)
		if err != nil {
			return false, err
		}
		defer resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			n = length(resp)
		} else {
			_, n, _ = contentRange(resp.Header.Get("Content-Range"))
		}
		if n < 0 {
			return false, j.fail(&Error{Err: ErrServer, Detail: "server does not say how large the file is",
				Remedy: "set CAPTIONER_MIRROR to a server that does"})
		}
		return true, nil
	})
	return n, err
}

// Read calls take with the bytes from one offset to another, in order and each once, over as many connections as it
// needs. What take returns ends it. Errors of the network are *Error.
func (r *Remote) Read(ctx context.Context, from, to int64, take func([]byte) error) error {
	var given error
	err := r.retry(ctx, func(ctx context.Context, j *transfer, watch *time.Timer) (bool, error) {
		begun := from
		j.to = to
		resp, err := r.ask(ctx, j, from)
		if err != nil {
			return false, err
		}
		defer resp.Body.Close()
		if resp.StatusCode == http.StatusOK { // it gives no parts: what comes before is thrown away
			if err := skip(resp.Body, from, watch, r.c.Stall); err != nil {
				return false, r.cut(ctx, j, err)
			}
		}
		buf := make([]byte, 1<<17)
		for from < to {
			n, err := resp.Body.Read(buf[:min(int64(len(buf)), to-from)])
			if n > 0 {
				watch.Reset(r.c.Stall)
				if given = take(buf[:n]); given != nil {
					return true, nil
				}
				from += int64(n)
			}
			if err != nil && from < to {
				return from > begun, r.cut(ctx, j, err)
			}
		}
		return true, nil
	})
	if given != nil {
		return given
	}
	return err
}

// skip reads n bytes away.
func skip(body io.Reader, n int64, watch *time.Timer, stall time.Duration) error {
	for n > 0 {
		some, err := io.CopyN(io.Discard, body, min(n, 1<<20))
		watch.Reset(stall)
		if n -= some; err != nil {
			return err
		}
	}
	return nil
}

func (r *Remote) cut(ctx context.Context, j *transfer, err error) error {
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) || ctx.Err() == nil {
		return j.fail(&Error{Err: ErrCut, Detail: "connection broke off", again: true,
			Remedy: "run the same again, it goes on where it was"})
	}
	return j.netError(ctx, err)
}

// ask requests a part and checks that the answer is one, of the same file as before.
func (r *Remote) ask(ctx context.Context, j *transfer, from int64) (*http.Response, error) {
	resp, _, err := j.get(ctx, from, "")
	if err != nil {
		return nil, j.netError(ctx, err)
	}
	r.mu.Lock()
	r.reached = true
	r.mu.Unlock()
	fail := func(err error) (*http.Response, error) {
		resp.Body.Close()
		return nil, err
	}
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusPartialContent:
		if first, _, ok := contentRange(resp.Header.Get("Content-Range")); !ok || first != from {
			return fail(j.fail(&Error{Err: ErrServer, Detail: fmt.Sprintf("server sent the range %q, want it from byte %d",
				resp.Header.Get("Content-Range"), from), again: true,
				Remedy: "a proxy or the server mixes up parts of files"}))
		}
	default:
		return fail(j.statusError(resp))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if v := validatorOf(resp); r.validator == "" {
		r.validator = v
	} else if v != "" && v != r.validator {
		return fail(j.fail(&Error{Err: ErrServer, Detail: "the file has changed while it was read",
			Remedy: "run the same again"}))
	}
	return resp, nil
}

func (r *Remote) known() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reached
}

// retry tries until it is done, or until several tries in a row have brought nothing.
func (r *Remote) retry(
	ctx context.Context, try func(context.Context, *transfer, *time.Timer) (progress bool, err error),
) error {
	j := r.c.transfer(File{Entry: r.name, Name: r.name, URL: r.url,
		ByHand: fmt.Sprintf("download %s elsewhere", r.url)})
	if j.resolve(); !r.c.Reaches() {
		return j.fail(&Error{Err: ErrOffline, Detail: OfflineDetail, Remedy: OfflineHint})
	}
	tries := r.c.tries(r.name)
	for {
		once, cancel := context.WithCancelCause(ctx)
		watch := time.AfterFunc(r.c.Stall, func() { cancel(ErrStalled) })
		progress, err := try(once, j, watch)
		watch.Stop()
		cancel(nil)
		if err == nil {
			return nil
		}
		if err := tries.again(ctx, err, progress, r.known()); err != nil {
			return err
		}
	}
}
