package dist

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// watcher tells the others that this process lives and how far it is, through a connection of its own, and looks at what they tell.
type watcher struct {
	g        *Group
	store    *Store
	every    time.Duration
	progress atomic.Int64
	cancel   context.CancelFunc
	done     chan struct{}
}

func startWatch(g *Group) (*watcher, error) {
	w := &watcher{g: g, every: min(max(g.Timeout/25, 50*time.Millisecond), time.Second), done: make(chan struct{})}
	var err error
	if w.store, err = Connect(g.Addr, g.Port, g.Prefix, g.Timeout); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	go func() {
		defer close(w.done)
		w.beat(ctx)
	}()
	return w, nil
}

func (w *watcher) stop() {
	w.cancel()
	<-w.done
	w.store.Close()
}

// patience is how long a collective waits: what is left of the timeout finds out who is to blame.
func (w *watcher) patience() time.Duration { return max(w.g.Timeout-8*w.every, w.g.Timeout/4) }

// beat writes a counter of its own, of calls of the group and of Advance, for as long as the process lives.
func (w *watcher) beat(ctx context.Context) {
	t := time.NewTicker(w.every)
	defer t.Stop()
	for n := 1; ; n++ {
		text := fmt.Sprintf("%d %d %d", n, w.g.calls.Load(), w.progress.Load())
		if w.store.Set("beat/"+strconv.Itoa(w.g.Rank), text) != nil {
			return // the store is gone: whoever needs it will say so
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// beat is what a rank last told.
type beat struct{ n, calls, progress int64 }

func (g *Group) lastBeat(rank int) (b beat, err error) {
	text, _, err := g.store.Get("beat/" + strconv.Itoa(rank))
	if err == nil && text != "" {
		fmt.Sscanf(text, "%d %d %d", &b.n, &b.calls, &b.progress) // of our own making
	}
	return b, err
}

// Advance says that this rank moves, for those that wait for it in Wait.
func (g *Group) Advance() { g.watch.progress.Add(1) }

// Leave tells the others why this rank gives up, so that they can say so. The first to tell is believed.
func (g *Group) Leave(why error) {
	_ = g.store.SetFirst("end", fmt.Sprintf("%d %s", g.Rank, why)) // a store that is gone has nobody left to tell
	g.linger()
}

// blame finds out whose fault err is, and makes an *Error of it. It takes a few beats at most.
func (g *Group) blame(op string, err error) error {
	if err == nil {
		return nil
	}
	rank, msg := g.culprit()
	if msg == "" {
		msg = err.Error()
	}
	e := &Error{Op: op, Rank: rank, Msg: msg}
	if rank >= 0 {
		_ = g.store.SetFirst("end", fmt.Sprintf("%d %s", rank, msg))
	}
	g.linger()
	return e
}

// linger keeps the store of a rank that hosts it until the others have read from it who is to blame.
func (g *Group) linger() {
	if g.hosted != nil {
		time.Sleep(4 * g.watch.every)
	}
}

// farewell says that this rank reads no more, and keeps the store of a rank that hosts it until all the others have said so.
func (g *Group) farewell() {
	key := func(r int) string { return "left/" + strconv.Itoa(r) }
	if g.store.Set(key(g.Rank), ".") != nil || g.hosted == nil {
		return
	}
	until := time.Now().Add(4 * g.watch.every)
	for r := 0; r < g.Size && time.Now().Before(until); {
		switch _, ok, err := g.store.Get(key(r)); {
		case err != nil:
			return
		case ok:
			r++
		default:
			time.Sleep(time.Millisecond)
		}
	}
}

// culprit reads what the others left behind, and watches whose heart beats.
func (g *Group) culprit() (rank int, msg string) {
	before := make([]beat, g.Size)
	gone := func() (int, string) {
		return 0, fmt.Sprintf("the store at %s:%d is gone: %s died or the network is cut", g.Addr, g.Port, g.keeper())
	}
	for round := range 9 {
		if text, ok, err := g.store.Get("end"); err != nil {
			return gone()
		} else if who, why, cut := strings.Cut(text, " "); ok && cut {
			if r, err := strconv.Atoi(who); err == nil {
				return r, g.told(r, why)
			}
		}
		for r := range g.Size {
			b, err := g.lastBeat(r)
			if err != nil {
				return gone()
			}
			if round == 0 {
				before[r] = b
			} else if round == 8 && b.n == before[r].n && r != g.Rank {
				return r, fmt.Sprintf("%s is silent: it died, stands still, or the network is cut", g.Name(r))
			}
		}
		if round < 8 {
			time.Sleep(g.watch.every * 3 / 8)
		}
	}
	return g.behind()
}

// behind names the rank that has made fewer calls than the others: it lives, but did not come.
func (g *Group) behind() (int, string) {
	mine := g.calls.Load()
	for r := range g.Size {
		if b, err := g.lastBeat(r); err == nil && r != g.Rank && b.calls < mine {
			return r, fmt.Sprintf("%s did not come within %v: it lives, but stands at call %d while this one is at %d", g.Name(r), g.Timeout, b.calls, mine)
		}
	}
	return -1, ""
}

// told is a reason that a rank gave, or that was found for it.
func (g *Group) told(rank int, why string) string {
	if strings.HasPrefix(why, g.Name(rank)) {
		return why
	}
	return fmt.Sprintf("%s ended: %s", g.Name(rank), why)
}

// keeper is who hosts the store.
func (g *Group) keeper() string {
	if g.Hosted {
		return "the process that started this one"
	}
	return g.Name(0)
}

// Name is a rank with where it runs: "rank 1 (node7, process 4711)".
func (g *Group) Name(rank int) string {
	if rank < len(g.names) && g.names[rank] != "" {
		return fmt.Sprintf("rank %d (%s)", rank, g.names[rank])
	}
	return fmt.Sprintf("rank %d", rank)
}

// Wait returns when every rank has called it; all call it in the same order, the name is for people. It has no limit while those that are missing live and call
// Advance: one of them that does neither for the timeout ends the wait.
func (g *Group) Wait(ctx context.Context, name string) error {
	g.waits++
	prefix := fmt.Sprintf("wait/%d/", g.waits)
	key := func(r int) string { return prefix + strconv.Itoa(r) }
	op := "wait for " + name
	if err := g.store.Set(key(g.Rank), "."); err != nil {
		return g.blame(op, err)
	}
	last, since := make([]beat, g.Size), make([]time.Time, g.Size)
	pause := time.Millisecond
	for {
		missing := 0
		for r := range g.Size {
			_, ok, err := g.store.Get(key(r))
			if err != nil {
				return g.blame(op, err)
			}
			if ok {
				continue
			}
			missing++
			b, err := g.lastBeat(r)
			if err != nil {
				return g.blame(op, err)
			}
			now := time.Now()
			silent := since[r].IsZero() || b.n == last[r].n
			still := silent || b.progress == last[r].progress && b.calls == last[r].calls
			switch {
			case since[r].IsZero() || !still:
				last[r], since[r] = b, now
			case now.Sub(since[r]) > g.watch.patience():
				return g.blame(op, fmt.Errorf("%s has not moved for %v", g.Name(r), g.Timeout))
			}
		}
		if missing == 0 {
			return nil
		}
		if text, ok, _ := g.store.Get("end"); ok && text != "" {
			return g.blame(op, fmt.Errorf("another rank ended"))
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		pause = min(2*pause, 100*time.Millisecond)
	}
}
