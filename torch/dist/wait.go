package dist

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Wait returns when every rank has called it. All call it in the same order; the name is for people. The wait has no
// limit while the ranks that are missing move: they begin collectives or call Advance. It ends with an error when one
// of them does neither for the group's timeout, when one has ended, or when ctx ends.
func (g *Group) Wait(ctx context.Context, name string) error {
	if g == nil {
		return nil
	}
	g.waits++
	w := &waiting{g: g, prefix: fmt.Sprintf("wait/%d/", g.waits), last: make([]sighting, g.place.Size)}
	if err := g.store.Set(w.key(g.place.Rank), "."); err != nil {
		return g.blame("wait for "+name, err)
	}
	pause := time.Millisecond
	for {
		all, err := w.look()
		if err != nil {
			return g.blame("wait for "+name, err)
		}
		if all {
			return nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		pause = min(2*pause, 100*time.Millisecond)
	}
}

// waiting is one call of Wait.
type waiting struct {
	g      *Group
	prefix string // of the keys by which ranks say that they have come
	last   []sighting
}

// sighting is when a rank that is missing last moved, and its beat then. The zero value is a rank that was not looked
// at yet.
type sighting struct {
	beat beat
	at   time.Time
}

func (w *waiting) key(rank int) string { return w.prefix + strconv.Itoa(rank) }

// look says whether all ranks have come. The error is that one of them will not.
func (w *waiting) look() (all bool, err error) {
	all = true
	for r := range w.last {
		_, here, err := w.g.store.Get(w.key(r))
		if err != nil {
			return false, err
		}
		if here {
			continue
		}
		all = false
		b, err := w.g.lastBeat(r)
		if err != nil {
			return false, err
		}
		switch seen := &w.last[r]; {
		case seen.at.IsZero(), b.moved(seen.beat):
			*seen = sighting{b, time.Now()}
		case time.Since(seen.at) > w.g.heart.patience():
			return false, fmt.Errorf("%s has not moved for %v", w.g.name(r), w.g.timeout)
		}
	}
	if all {
		return true, nil
	}
	if _, _, ended, _ := w.g.readEnd(); ended { // blame reads it again, with its errors
		return false, errors.New("another rank ended")
	}
	return false, nil
}
