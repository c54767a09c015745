package console

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"captioner/weights/plural"
)

// Progress shows how far a run is: by a bar below all messages where a person watches, else by a line every few
// seconds.
type Progress struct {
	t     *Terminal
	unit  string // one of what is counted: "image"
	bytes bool   // it counts bytes
	every time.Duration
	unpin func()        // takes the bar away; nil where there is none
	ended chan struct{} // ends the lines in its place; nil where there are none

	mu           sync.Mutex
	about        string // stands before the numbers
	start        time.Time
	before       int64 // were done when it began
	done, failed int64 // since then
	total        int64 // with those before; 0 while it is not known
	said         time.Time
	batch        batch
	shown        int64 // by the bar, which never goes back
}

// batch is the last one that came at once, by which the bar moves on until the next one comes.
type batch struct {
	n    int64         // how many
	took time.Duration // all of them
	came time.Time
}

// NewProgress counts things, one of which is a unit: "image".
func NewProgress(t *Terminal, unit string) *Progress {
	p := NewSteps(t, unit)
	p.begin(time.Now())
	return p
}

// NewSteps counts things like NewProgress, from the first Set on.
func NewSteps(t *Terminal, unit string) *Progress {
	return &Progress{t: t, unit: unit, every: 10 * time.Second}
}

// NewTransfer counts the bytes of something that comes, such as a file, from the first Set on.
func NewTransfer(t *Terminal, what string) *Progress {
	return &Progress{t: t, about: what, bytes: true, every: 10 * time.Second}
}

// begin starts the clock, and shows the bar.
func (p *Progress) begin(now time.Time) {
	p.start, p.said, p.batch.came = now, now, now
	if p.t.Live {
		p.unpin = p.t.Pin(p.frame)
		return
	}
	p.ended = make(chan struct{})
	go p.repeat(p.ended)
}

// repeat says a line every few seconds, also while nothing comes: of what has an end.
func (p *Progress) repeat(ended <-chan struct{}) {
	tick := time.NewTicker(max(p.every, time.Second) / 10)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
			p.mu.Lock()
			if p.total > 0 {
				p.say()
			}
			p.mu.Unlock()
		}
	}
}

// Set says how many there are of how many; total is 0 while it is not known. What is there at the first call counts as
// there before.
func (p *Progress) Set(done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.start.IsZero() {
		p.begin(time.Now())
		p.before = done
	}
	p.done, p.total = done-p.before, total
	p.say()
}

// About sets what stands before the numbers.
func (p *Progress) About(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.about = text
}

// Expect sets how many there will be, once that is known.
func (p *Progress) Expect(total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total = total
}

// Skip counts what was done before this run: it says nothing of how fast the run is.
func (p *Progress) Skip(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.before += n
}

// Add counts finished ones, and speaks if it is time.
func (p *Progress) Add(done, failed int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done, p.failed = p.done+done, p.failed+failed
	if n := done + failed; n > 0 {
		now := time.Now()
		p.batch = batch{n, now.Sub(p.batch.came), now}
	}
	p.say()
}

// say says a line if it is time, where there is no bar.
func (p *Progress) say() {
	now := time.Now()
	if p.unpin != nil || now.Sub(p.said) < p.every {
		return
	}
	p.said = now
	p.t.Log.Info(p.line(now))
}

// Finish takes the bar away. A nil Progress has none.
func (p *Progress) Finish() {
	if p == nil {
		return
	}
	p.mu.Lock()
	unpin, ended := p.unpin, p.ended
	p.ended = nil
	p.mu.Unlock()
	if ended != nil {
		close(ended)
	}
	if unpin != nil {
		unpin()
	}
}

// frame is the bar. Images come in batches: between two of them it moves on as the last one did, up to the last image
// of the next.
func (p *Progress) frame(columns int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	n := p.before + p.done + p.failed
	if b := p.batch; b.n > 1 && b.took > 0 {
		n += min(b.n-1, int64(float64(b.n)*float64(now.Sub(b.came))/float64(b.took)))
		if p.total > 0 {
			n = max(p.before+p.done+p.failed, min(n, p.total-1))
		}
	}
	p.shown = max(p.shown, n)
	return drawBar(columns, p.shown, p.total, p.status(now, p.shown, ""))
}

// line is "120 of 300 images, 12 images/s, 0:10 elapsed, 0:14 left", or "model.pt: 12 MB of 338 MB, 4 MB/s, 0:03
// elapsed, 1:21 left".
func (p *Progress) line(now time.Time) string {
	return p.status(now, p.before+p.done+p.failed, " "+plural.Word(max(p.total, p.done+p.failed), p.unit))
}

// leastTime is how long a run has to last before it says how fast it is.
const leastTime = 500 * time.Millisecond

// status is where n stands; unit follows the count of things.
func (p *Progress) status(now time.Time, n int64, unit string) string {
	count := plural.Number[int64]
	if p.bytes {
		count, unit = Size, ""
	}
	var s strings.Builder
	if p.about != "" {
		s.WriteString(p.about + ": ")
	}
	s.WriteString(count(n))
	if p.total > 0 {
		s.WriteString(" of " + count(p.total))
	}
	s.WriteString(unit)
	gone := now.Sub(p.start)
	rate := float64(p.done+p.failed) / gone.Seconds() // of what has really come
	if rate > 0 && gone >= leastTime {
		s.WriteString(", " + p.rate(rate))
	}
	fmt.Fprintf(&s, ", %s elapsed", Clock(gone))
	if left := p.total - n; left > 0 && rate > 0 && gone >= leastTime {
		fmt.Fprintf(&s, ", %s left", Clock(time.Duration(float64(left)/rate*float64(time.Second))))
	}
	if p.failed > 0 {
		fmt.Fprintf(&s, ", %s failed", plural.Number(p.failed))
	}
	return s.String()
}

func (p *Progress) rate(perSecond float64) string {
	if p.bytes {
		return Size(int64(perSecond)) + "/s"
	}
	return Rate(perSecond, p.unit)
}

// Rate is how many things a second there are, or a minute or an hour where they are few: "25 images/s".
func Rate(perSecond float64, unit string) string {
	units := plural.Word(2, unit)
	switch {
	case perSecond >= 10:
		return plural.Number(int64(perSecond+.5)) + " " + units + "/s"
	case perSecond >= 1:
		return fmt.Sprintf("%.1f %s/s", perSecond, units)
	case perSecond*60 >= 1:
		return fmt.Sprintf("%.2g %s/min", perSecond*60, units)
	}
	return fmt.Sprintf("%.2g %s/hour", perSecond*3600, units)
}

// Clock is a time as 0:07, 1:02 or 1:02:03.
func Clock(d time.Duration) string {
	s := int64(d.Seconds() + .5)
	if s < 3600 {
		return fmt.Sprintf("%d:%02d", s/60, s%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}

// Took is a time that has passed: in seconds where they are few, else as Clock has it.
func Took(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return Clock(d)
}
