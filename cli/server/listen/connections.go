package listen

import (
	"container/list"
	"context"
	"net"
	"net/http"
	"sync"
)

// Connections bounds how many clients are connected. Where one more comes, the one is closed that has kept the service
// waiting for the longest: half-open ones, slow ones and idle ones go before any whose request has arrived, which are
// never closed.
type Connections struct {
	most int

	mu    sync.Mutex
	open  map[net.Conn]*connection
	quiet list.List // *connection, the one that is quiet for the longest first
}

type connection struct {
	net.Conn
	busy  int           // requests that have arrived and are not answered
	place *list.Element // in quiet; nil while busy
}

// NewConnections allows so many.
func NewConnections(most int) *Connections {
	return &Connections{most: most, open: make(map[net.Conn]*connection)}
}

type connectionKey struct{}

// Enter notes a new connection, and closes another where there are too many.
func (c *Connections) Enter(ctx context.Context, nc net.Conn) context.Context {
	c.mu.Lock()
	k := &connection{Conn: nc}
	k.place = c.quiet.PushBack(k)
	c.open[nc] = k
	var victim net.Conn
	if oldest := c.quiet.Front().Value.(*connection); len(c.open) > c.most {
		victim = oldest.Conn
		c.forget(oldest)
	}
	c.mu.Unlock()
	if victim != nil {
		victim.Close()
	}
	return context.WithValue(ctx, connectionKey{}, k)
}

// State follows what net/http says of a connection.
func (c *Connections) State(nc net.Conn, s http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.open[nc]
	if k == nil {
		return
	}
	switch s {
	case http.StateClosed, http.StateHijacked:
		c.forget(k)
	case http.StateActive, http.StateIdle: // it said something: its waiting begins anew
		if k.place != nil {
			c.quiet.MoveToBack(k.place)
		}
	}
}

func (c *Connections) forget(k *connection) {
	delete(c.open, k.Conn)
	if k.place != nil {
		c.quiet.Remove(k.place)
		k.place = nil
	}
}

// Settle says that a request of the connection in ctx has arrived; the returned function, that it is answered.
func (c *Connections) Settle(ctx context.Context) func() {
	k, ok := ctx.Value(connectionKey{}).(*connection)
	if !ok { // a test without connections
		return func() {}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if k.busy++; k.place != nil {
		c.quiet.Remove(k.place)
		k.place = nil
	}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if k.busy--; k.busy == 0 && c.open[k.Conn] == k {
			k.place = c.quiet.PushBack(k)
		}
	}
}

// Count is how many are connected.
func (c *Connections) Count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
}
