package cli

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress tells how far a run is: by a bar where a person watches, else by a line every few seconds.
type progress struct {
	t     *terminal
	what  string // "pictures"
	start time.Time
	every time.Duration

	mu           sync.Mutex
	done, failed int64
	total        int64 // 0 while it is not known
	said         time.Time
}

func newProgress(t *terminal, what string) *progress {
	now := time.Now()
	p := &progress{t: t, what: what, start: now, said: now, every: 10 * time.Second}
	if t.live {
		t.show(new(bar))
	}
	return p
}

// expect sets how many there will be, once that is known.
func (p *progress) expect(total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total = total
	if p.t.live {
		p.t.update(p.done+p.failed, total, p.failed)
	}
}

// add counts finished ones, and speaks if it is time.
func (p *progress) add(done, failed int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done, p.failed = p.done+done, p.failed+failed
	if p.t.live {
		p.t.update(p.done+p.failed, p.total, p.failed)
		return
	}
	if now := time.Now(); now.Sub(p.said) >= p.every {
		p.said = now
		p.t.log.Info(p.line(now))
	}
}

func (p *progress) line(now time.Time) string {
	n := p.done + p.failed
	rate := float64(n) / now.Sub(p.start).Seconds()
	var s strings.Builder
	fmt.Fprintf(&s, "%d", n)
	if p.total > 0 {
		fmt.Fprintf(&s, " of %d", p.total)
	}
	fmt.Fprintf(&s, " %s, %.3g images/s", p.what, rate)
	if p.total > n && rate > 0 {
		fmt.Fprintf(&s, ", %v left", (time.Duration(float64(p.total-n)/rate) * time.Second).Round(time.Second))
	}
	if p.failed > 0 {
		fmt.Fprintf(&s, ", %d failed", p.failed)
	}
	return s.String()
}

// finish takes the bar away.
func (p *progress) finish() { p.t.show(nil) }

// bar is a progress bar on a terminal. The terminal's lock guards it.
type bar struct {
	unit  string                   // of its rate; "" is pictures
	about string                   // stands before it
	bytes bool                     // it counts bytes
	inner *progressbar.ProgressBar // nil until the total is known
}

// show puts a bar below the messages, or takes it away.
func (t *terminal) show(b *bar) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.bar != nil {
		t.bar.clear()
	}
	t.bar = b
}

// update draws the bar. It appears when the total is known: before that there is nothing to be a part of. More than were expected fill it.
func (t *terminal) update(n, total, failed int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.bar
	if b == nil || total == 0 {
		return
	}
	unit := b.unit
	if unit == "" {
		unit = "img"
	}
	if b.inner == nil {
		rate := []progressbar.Option{progressbar.OptionShowIts(), progressbar.OptionSetItsString(unit)}
		if b.bytes {
			rate = []progressbar.Option{progressbar.OptionShowBytes(true)}
		}
		b.inner = progressbar.NewOptions64(total, append(rate, progressbar.OptionSetWriter(t.w), progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(true), progressbar.OptionSetElapsedTime(true),
			progressbar.OptionUseANSICodes(true), progressbar.OptionSetWidth(24),
			progressbar.OptionSetTheme(progressbar.Theme{Saucer: "━", SaucerHead: "━", SaucerPadding: " ", BarStart: "", BarEnd: ""}))...)
	}
	if failed > 0 {
		b.about = fmt.Sprintf("%d failed", failed)
	}
	b.inner.Describe(b.about)
	_ = b.inner.Set64(min(n, b.inner.GetMax64())) // a bar that cannot be drawn is no reason to stop
}

// describe sets what stands before the bar from its next update on.
func (t *terminal) describe(about string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.bar != nil {
		t.bar.about = about
	}
}

// clear wipes the bar's line; the next update draws it again.
func (b *bar) clear() {
	if b.inner != nil {
		_ = b.inner.Clear()
	}
}
