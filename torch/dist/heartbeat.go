package dist

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"
)

// heart writes a beat to the store again and again for as long as the process lives, through a connection of its own,
// so that the others see that it lives and how far it is.
type heart struct {
	g        *peers
	store    *Store
	every    time.Duration
	progress atomic.Int64 // raised by Advance
	cancel   context.CancelFunc
	done     chan struct{}
}

// beat is what a rank last wrote.
type beat struct {
	number   int64 // of the beat: it rises while the process lives
	calls    int64 // of collectives that the rank has begun
	progress int64 // calls of Advance
}

func (b beat) String() string { return fmt.Sprintf("%d %d %d", b.number, b.calls, b.progress) }

// moved says whether the rank has done something since it wrote before. A process that only lives has not.
func (b beat) moved(before beat) bool {
	return b.number != before.number && (b.progress != before.progress || b.calls != before.calls)
}

// startHeart begins to write beats. There are 25 within the group's timeout, but at least one a second.
func startHeart(g *peers) (*heart, error) {
	every := min(max(g.timeout/25, 50*time.Millisecond), time.Second)
	h := &heart{g: g, every: every, done: make(chan struct{})}
	var err error
	if h.store, err = Connect(g.place.Addr, g.place.Port, g.place.Prefix, g.timeout); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	h.cancel = cancel
	go func() {
		defer close(h.done)
		h.run(ctx)
	}()
	return h, nil
}

func (h *heart) run(ctx context.Context) {
	t := time.NewTicker(h.every)
	defer t.Stop()
	for n := int64(1); ; n++ {
		b := beat{number: n, calls: h.g.calls.Load(), progress: h.progress.Load()}
		if h.store.Set(beatKey(h.g.place.Rank), b.String()) != nil {
			return // the store is gone: whoever needs it reports that
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

func (h *heart) stop() {
	h.cancel()
	<-h.done
	h.store.Close()
}

// patience is how long a collective waits. It is shorter than the group's timeout: the rest of that is needed to find
// out who is to blame.
func (h *heart) patience() time.Duration { return max(h.g.timeout-8*h.every, h.g.timeout/4) }

func beatKey(rank int) string { return "beat/" + strconv.Itoa(rank) }

// lastBeat reads what a rank last wrote; the zero beat where it has written nothing yet.
func (p *peers) lastBeat(rank int) (b beat, err error) {
	text, _, err := p.store.Get(beatKey(rank))
	if err == nil && text != "" {
		fmt.Sscanf(text, "%d %d %d", &b.number, &b.calls, &b.progress) // written by String
	}
	return b, err
}

// Advance says that this rank moves, for those that wait for it in Wait.
func (g *Group) Advance() {
	if g != nil {
		g.heart.progress.Add(1)
	}
}
