package dist

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// endKey holds why the group ends: the rank to blame, a space, and the reason. The first rank to write it is believed.
const endKey = "end"

// looks is how often a rank looks at the beats of the others before it calls one of them silent. The looks take three
// beats together.
const looks = 9

// Leave tells the others why this rank gives up, so that they can report it.
func (g *Group) Leave(why error) {
	if g == nil {
		return
	}
	g.writeEnd(g.place.Rank, why.Error())
	g.linger()
}

// writeEnd writes the reason unless there is one. An error means that the store is gone, and with it everyone who
// could read.
func (p *peers) writeEnd(rank int, why string) {
	_ = p.store.SetFirst(endKey, fmt.Sprintf("%d %s", rank, why))
}

// readEnd is the reason that a rank has written; ok is false where there is none.
func (p *peers) readEnd() (rank int, why string, ok bool, err error) {
	text, ok, err := p.store.Get(endKey)
	if err != nil || !ok {
		return 0, "", false, err
	}
	who, why, _ := strings.Cut(text, " ")
	rank, notNumber := strconv.Atoi(who)
	return rank, why, notNumber == nil, nil
}

// blame finds out which rank has caused err, and returns an *Error that names it. It returns nil for nil.
func (g *Group) blame(op string, err error) error {
	if err == nil {
		return nil
	}
	rank, msg := g.culprit()
	if msg == "" {
		msg = err.Error()
	}
	if rank >= 0 {
		g.writeEnd(rank, msg)
	}
	g.linger()
	return &Error{Op: op, Rank: rank, Msg: msg}
}

// culprit is the rank to blame and why. A reason that a rank has written counts first, then a rank whose heart does
// not beat, then one that has made fewer calls. The rank is -1 where none of these is found.
func (p *peers) culprit() (rank int, msg string) {
	first := make([]beat, p.place.Size)
	for look := range looks {
		if rank, why, ok, err := p.readEnd(); err != nil {
			return p.storeGone()
		} else if ok {
			return rank, p.reason(rank, why)
		}
		for r := range first {
			b, err := p.lastBeat(r)
			switch {
			case err != nil:
				return p.storeGone()
			case look == 0:
				first[r] = b
			case look == looks-1 && r != p.place.Rank && b.number == first[r].number:
				return r, p.name(r) + " is silent: it died, stands still, or the network is cut"
			}
		}
		if look < looks-1 {
			time.Sleep(p.heart.every * 3 / 8)
		}
	}
	return p.behind()
}

func (p *peers) storeGone() (rank int, msg string) {
	keeper := p.name(0)
	if p.place.Hosted {
		keeper = "the process that started this one"
	}
	return 0, fmt.Sprintf("the store at %s:%d is gone: %s died or the network is cut", p.place.Addr, p.place.Port, keeper)
}

// behind names a rank that lives and has made fewer calls than this one.
func (p *peers) behind() (rank int, msg string) {
	own := p.calls.Load()
	for r := range p.place.Size {
		if b, err := p.lastBeat(r); err == nil && r != p.place.Rank && b.calls < own {
			return r, fmt.Sprintf("%s did not come within %v: it lives, but stands at call %d while this one is at %d",
				p.name(r), p.timeout, b.calls, own)
		}
	}
	return -1, ""
}

// reason is what a rank has written about itself, or another about it, with the rank's name in front.
func (p *peers) reason(rank int, why string) string {
	if strings.HasPrefix(why, p.name(rank)) {
		return why
	}
	return fmt.Sprintf("%s ended: %s", p.name(rank), why)
}

// name is a rank with where it runs: "rank 1 (node7, process 4711)".
func (p *peers) name(rank int) string {
	if rank < len(p.names) && p.names[rank] != "" {
		return fmt.Sprintf("rank %d (%s)", rank, p.names[rank])
	}
	return fmt.Sprintf("rank %d", rank)
}

// linger keeps the store alive, where this process hosts it, until the others have read who is to blame.
func (p *peers) linger() {
	if p.hosted != nil {
		time.Sleep(4 * p.heart.every)
	}
}

// farewell writes that this rank reads no more. A rank that hosts the store waits until all others have written so, or
// for four beats.
func (p *peers) farewell() {
	key := func(r int) string { return "left/" + strconv.Itoa(r) }
	if p.store.Set(key(p.place.Rank), ".") != nil || p.hosted == nil {
		return
	}
	until := time.Now().Add(4 * p.heart.every)
	for r := 0; r < p.place.Size && time.Now().Before(until); {
		_, left, err := p.store.Get(key(r))
		switch {
		case err != nil:
			return
		case left:
			r++
		default:
			time.Sleep(time.Millisecond)
		}
	}
}
