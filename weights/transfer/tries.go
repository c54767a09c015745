package transfer

import (
	"context"
	"errors"
	"time"
)

// tries decides how often and when a failed attempt is made again: until several in a row brought nothing new. (A
// library of back-off counts all attempts, or the time since the first; a large file over a bad line needs many, and
// hours.)
type tries struct {
	client *Client
	name   string // what is fetched, for people
	failed int    // in a row
	wait   time.Duration
}

func (c *Client) tries(name string) *tries { return &tries{client: c, name: name, wait: c.Backoff} }

// again waits before the next attempt; it returns the error where there is to be none. Progress says that the attempt
// brought something new, reached that the host ever answered.
func (t *tries) again(ctx context.Context, err error, progress, reached bool) error {
	var e *Error
	if !errors.As(err, &e) || !e.again {
		return err
	}
	if t.failed++; progress {
		t.failed, t.wait = 0, t.client.Backoff
	}
	limit := t.client.Attempts
	if errors.Is(err, ErrNetwork) && !reached {
		limit = min(limit, 3) // there seems to be no network at all
	}
	if t.failed >= limit {
		return err
	}
	pausing := max(t.wait, e.after) // after is what the host asks for
	t.client.notice("%s: %s: trying again in %v", t.name, e.Detail, pausing)
	t.wait = min(2*t.wait, time.Minute)
	return pause(ctx, pausing)
}
