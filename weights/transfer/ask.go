package transfer

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Answer is what a server says, whole and in memory.
type Answer struct {
	Header http.Header
	Body   []byte
	// What the host that was asked says of the file: its checksum, its size and the commit that it is of.
	Tag    Digest
	Size   int64 // 0 where it does not say
	Commit string
}

// Get reads a small file, or an answer of at most limit bytes, into memory, and tries again as Download does.
func (c *Client) Get(ctx context.Context, f File, limit int64) (Answer, error) {
	return c.ask(ctx, f, http.MethodGet, limit)
}

// Head asks what the host says of a file, without the file.
func (c *Client) Head(ctx context.Context, f File) (Answer, error) {
	return c.ask(ctx, f, http.MethodHead, 0)
}

func (c *Client) ask(ctx context.Context, f File, method string, limit int64) (Answer, error) {
	j := c.transfer(f)
	j.method = method
	if j.resolve(); !c.Reaches() {
		return Answer{}, j.fail(&Error{Err: ErrOffline, Detail: OfflineDetail, Remedy: OfflineHint + ", or " + f.ByHand})
	}
	tries, reached := c.tries(f.Name), false
	for {
		a, err := j.askOnce(ctx, limit, &reached)
		if err == nil {
			return a, nil
		}
		if err := tries.again(ctx, err, false, reached); err != nil {
			return Answer{}, err
		}
	}
}

func (j *transfer) askOnce(parent context.Context, limit int64, reached *bool) (Answer, error) {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	watch := time.AfterFunc(j.client.Stall, func() { cancel(ErrStalled) })
	defer watch.Stop()

	resp, t, err := j.get(ctx, 0, "")
	if err != nil {
		return Answer{}, j.netError(ctx, err)
	}
	defer resp.Body.Close()
	*reached = true
	if ok := resp.StatusCode == http.StatusOK || j.method == http.MethodHead && isRedirect(resp); !ok {
		return Answer{}, j.statusError(resp)
	}
	a := Answer{Header: resp.Header, Tag: t.tag, Size: t.size, Commit: t.commit}
	if a.Size == 0 && resp.StatusCode == http.StatusOK {
		a.Size = max(resp.ContentLength, 0)
	}
	if j.method == http.MethodHead {
		return a, nil
	}
	a.Body, err = io.ReadAll(io.LimitReader(resp.Body, limit+1))
	switch {
	case err != nil:
		return Answer{}, j.netError(ctx, err)
	case int64(len(a.Body)) > limit:
		return Answer{}, j.fail(&Error{Err: ErrSize, Detail: fmt.Sprintf("server sent more than %d bytes, want fewer", limit),
			Remedy: "a proxy or a mirror answers something else: " + j.file.ByHand})
	}
	return a, nil
}
