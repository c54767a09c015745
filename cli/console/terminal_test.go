package console

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"
)

func TestExitCodes(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want int
	}{
		{nil, 0}, {errors.New("x"), 1}, {Usagef("", "x"), 2}, {errors.Join(errors.New("x"), Usagef("", "x")), 2}, {ErrSome,
			3},
		{ErrInterrupted, 130}, {fmt.Errorf("x: %w", context.Canceled), 130}, {&os.PathError{Err: syscall.EPIPE},
			0}, {&os.PathError{Err: syscall.ENOSPC}, 1},
	} {
		if got := ExitCode(tc.err); got != tc.want {
			t.Errorf("%v: got %d, want %d", tc.err, got, tc.want)
		}
	}
}

func TestProgressLines(t *testing.T) {
	var w bytes.Buffer
	p := NewProgress(newTerminal(&w, func(string) string { return "" }), "image")
	p.every = 0
	p.Expect(10)
	p.Add(4, 1)
	if got := w.String(); !strings.HasPrefix(got, "5 of 10 images, ") || !strings.HasSuffix(got, ", 1 failed\n") {
		t.Errorf("got %q", got)
	}
}

func TestTerminalColoursOnlyTerminals(t *testing.T) {
	var w bytes.Buffer
	term := newTerminal(&w, func(string) string { return "" })
	term.Fail(WithHint(errors.New("one\ntwo\x1b[2J"), "do this"))
	if got, want := w.String(), "error: one; two\\x1b[2J\nhint: do this\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What libtorch says of its own stack has no place in a message.
func TestOneLine(t *testing.T) {
	const want = "to [3 4]: can't allocate memory: you tried to allocate 96 bytes. Error code 12 (Cannot allocate memory)"
	if got := OneLine(errors.New(want + " frame #0: c10::Throw + 0x6a (0x7f)\nframe #1: main")); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := OneLine(errors.Join(errors.New("one"), errors.New("two"))), "one; two"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTransferLines(t *testing.T) {
	var w bytes.Buffer
	p := NewTransfer(newTerminal(&w, func(string) string { return "" }), "model.pt")
	p.every = 0
	p.Set(2_000_000, 0)
	p.start = p.start.Add(-time.Second)
	p.Set(5_000_000, 20_000_000)
	got := strings.Split(w.String(), "\n")
	if len(got) != 3 || !strings.HasPrefix(got[0], "model.pt: 2 MB, 0:00 elapsed") ||
		!strings.HasPrefix(got[1], "model.pt: 5 MB of 20 MB, ") ||
		!strings.HasSuffix(got[1], " left") {
		t.Errorf("got %q", got)
	}
}

// What the bar shows fits the terminal, at any width and for any run.
func TestFrames(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	images := func(done, failed, total int64) *Progress {
		return &Progress{unit: "image", start: start, done: done, failed: failed, total: total}
	}
	for _, tc := range []struct {
		name    string
		p       *Progress
		columns int
		gone    time.Duration
		want    string
	}{
		{"nothing yet", images(0, 0, 403), 80, 2 * time.Second,
			"   0%                                   0 of 403, 0:02 elapsed"},
		{"under way", images(158, 2, 400), 80, 4 * time.Second,
			"  40% ━━━━━          160 of 400, 40 images/s, 0:04 elapsed, 0:06 left, 2 failed"},
		{"wide", images(160, 0, 400), 120, 4 * time.Second,
			"  40% ━━━━━━━━━━━━                      160 of 400, 40 images/s, 0:04 elapsed, 0:06 left"},
		{"no total", images(160, 0, 0), 80, 4 * time.Second, "160, 40 images/s, 0:04 elapsed"},
		{"slow", images(3, 0, 10), 60, time.Minute, "  30% ━      3 of 10, 3 images/min, 1:00 elapsed, 2:20 left"},
		{"narrow", images(123456, 789, 1000000), 60, 3 * time.Hour,
			"124,245 of 1,000,000, 12 images/s, 3:00:00 elapsed, 21:08:…"},
		{"done before", &Progress{unit: "image", start: start, before: 200, done: 100, total: 400}, 80, 10 * time.Second,
			"  75% ━━━━━━━━━━━━━━━━━        300 of 400, 10 images/s, 0:10 elapsed, 0:10 left"},
		{"bytes", &Progress{about: "model.pt", bytes: true, start: start, done: 5e6, total: 20e6}, 80, 5 * time.Second,
			"  25% ━━━              model.pt: 5 MB of 20 MB, 1 MB/s, 0:05 elapsed, 0:15 left"},
	} {
		p := tc.p
		now := start.Add(tc.gone)
		n := p.before + p.done + p.failed
		got := drawBar(tc.columns, n, p.total, p.status(now, n, ""))
		if got != tc.want || utf8.RuneCountInString(got) >= tc.columns {
			t.Errorf("%s: got %q, want %q in fewer than %d columns", tc.name, got, tc.want, tc.columns)
		}
	}
}

// Between two batches the bar moves by image, up to the last image of the next batch, and never back.
func TestFramesMoveByImage(t *testing.T) {
	p := &Progress{unit: "image", start: time.Now().Add(-10 * time.Second), total: 40}
	shown := func() int64 { p.frame(80); return p.shown }
	if got := shown(); got != 0 {
		t.Errorf("before the first batch: got %d, want 0", got)
	}
	p.done, p.batch = 10, batch{n: 10, took: 10 * time.Second, came: time.Now().Add(-3500 * time.Millisecond)}
	if got := shown(); got != 13 {
		t.Errorf("3.5 s after a batch of 10 in 10 s: got %d, want 13", got)
	}
	p.batch.came = p.batch.came.Add(time.Second)
	if got := shown(); got != 13 {
		t.Errorf("after a step back: got %d, want 13", got)
	}
	p.batch.came = time.Now().Add(-time.Hour)
	if got := shown(); got != 19 {
		t.Errorf("long after: got %d, want 19", got)
	}
	p.done = 40
	if got := shown(); got != 40 {
		t.Errorf("at the end: got %d, want 40", got)
	}
}

// Messages and results stand above the pinned line, which is drawn again below them.
func TestPinnedLine(t *testing.T) {
	var w lockedBuffer
	term := &Terminal{W: &w}
	drawn := make(chan struct{}, 1)
	unpin := term.Pin(func(int) string {
		select {
		case drawn <- struct{}{}:
		default:
		}
		return "the bar"
	})
	for range 2 {
		<-drawn
	}
	for !strings.HasSuffix(w.String(), "\rthe bar\x1b[K") {
		time.Sleep(time.Millisecond)
	}
	w.Reset()
	if _, err := term.Write([]byte("a message\n")); err != nil {
		t.Fatal(err)
	}
	if got, want := w.String(), "\r\x1b[Ka message\n\rthe bar\x1b[K"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	w.Reset()
	unpin()
	unpin()
	if got, want := w.String(), "\r\x1b[K"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// lockedBuffer is a buffer that goroutines share.
type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

func (b *lockedBuffer) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.Buffer.Reset()
}
