package console

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// Progress tells how far a run is: by a bar where a person watches, else by a line every few seconds.
type Progress struct {
	t     *Terminal
	what  string // "images"
	start time.Time
	every time.Duration

	bytes bool  // it counts bytes of what
	from  int64 // bytes that were there when it began

	mu           sync.Mutex
	done, failed int64
	total        int64 // 0 while it is not known
	said         time.Time
}

// NewProgress counts things, which what names: "images".
func NewProgress(t *Terminal, what string) *Progress {
	now := time.Now()
	p := &Progress{t: t, what: what, start: now, said: now, every: 10 * time.Second}
	if t.Live {
		t.Show(new(Bar))
	}
	return p
}

// NewTransfer counts the bytes of something that comes, such as a file. It shows nothing before the first Set.
func NewTransfer(t *Terminal, what string) *Progress {
	return &Progress{t: t, what: what, bytes: true, every: 10 * time.Second}
}

// Set says how many bytes there are of how many; total is 0 while it is not known. Bytes that are there at the first
// call count as there before.
func (p *Progress) Set(done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.start.IsZero() {
		p.start, p.said, p.from = time.Now(), time.Now(), done
		if p.t.Live {
			p.t.Show(&Bar{About: p.what, Bytes: true})
		}
	}
	p.done, p.total = done, total
	p.tell()
}

// Expect sets how many there will be, once that is known.
func (p *Progress) Expect(total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total = total
	if p.t.Live {
		p.t.Update(p.done+p.failed, total, p.failed)
	}
}

// Add counts finished ones, and speaks if it is time.
func (p *Progress) Add(done, failed int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done, p.failed = p.done+done, p.failed+failed
	p.tell()
}

// tell moves the bar, or says a line if it is time.
func (p *Progress) tell() {
	if p.t.Live {
		p.t.Update(p.done+p.failed, p.total, p.failed)
		return
	}
	if now := time.Now(); now.Sub(p.said) >= p.every {
		p.said = now
		p.t.Log.Info(p.line(now))
	}
}

// line is "120 of 300 images, 12.5 images/s, 14s left", or "model.pt: 12 MB of 338 MB, 4 MB/s, 1m21s left".
func (p *Progress) line(now time.Time) string {
	n := p.done + p.failed
	rate := float64(n-p.from) / now.Sub(p.start).Seconds()
	var s strings.Builder
	if p.bytes {
		fmt.Fprintf(&s, "%s: %s", p.what, Size(n))
		if p.total > 0 {
			fmt.Fprintf(&s, " of %s", Size(p.total))
		}
		fmt.Fprintf(&s, ", %s/s", Size(int64(rate)))
	} else {
		fmt.Fprintf(&s, "%d", n)
		if p.total > 0 {
			fmt.Fprintf(&s, " of %d", p.total)
		}
		fmt.Fprintf(&s, " %s, %.3g images/s", p.what, rate)
	}
	if p.total > n && rate > 0 {
		fmt.Fprintf(&s, ", %v left", (time.Duration(float64(p.total-n)/rate) * time.Second).Round(time.Second))
	}
	if p.failed > 0 {
		fmt.Fprintf(&s, ", %d failed", p.failed)
	}
	return s.String()
}

// Finish takes the bar away.
func (p *Progress) Finish() { p.t.Show(nil) }

// Bar is a progress bar on a terminal. The terminal's lock guards it.
type Bar struct {
	Unit  string                   // of its rate; "" is images
	About string                   // stands before it
	Bytes bool                     // it counts bytes
	inner *progressbar.ProgressBar // nil until the total is known
}

// Show puts a bar below the messages, or takes it away.
func (t *Terminal) Show(b *Bar) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.bar != nil {
		t.bar.clear()
	}
	t.bar = b
}

// Update draws the bar. It appears when the total is known: before that there is nothing to be a part of. More than
// were expected fill it.
func (t *Terminal) Update(n, total, failed int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.bar
	if b == nil || total == 0 {
		return
	}
	unit := b.Unit
	if unit == "" {
		unit = "img"
	}
	if b.inner == nil {
		rate := []progressbar.Option{progressbar.OptionShowIts(), progressbar.OptionSetItsString(unit)}
		if b.Bytes {
			rate = []progressbar.Option{progressbar.OptionShowBytes(true)}
		}
		b.inner = progressbar.NewOptions64(total, append(rate, progressbar.OptionSetWriter(t.W),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(true), progressbar.OptionSetElapsedTime(true),
			progressbar.OptionUseANSICodes(true), progressbar.OptionSetWidth(24),
			progressbar.OptionSetTheme(progressbar.Theme{Saucer: "━", SaucerHead: "━", SaucerPadding: " ", BarStart: "",
				BarEnd: ""}))...)
	}
	if failed > 0 {
		b.About = fmt.Sprintf("%d failed", failed)
	}
	b.inner.Describe(b.About)
	_ = b.inner.Set64(min(n, b.inner.GetMax64())) // a bar that cannot be drawn is no reason to stop
}

// Describe sets what stands before the bar from its next update on.
func (t *Terminal) Describe(about string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.bar != nil {
		t.bar.About = about
	}
}

// clear wipes the bar's line; the next update draws it again.
func (b *Bar) clear() {
	if b.inner != nil {
		_ = b.inner.Clear()
	}
}
