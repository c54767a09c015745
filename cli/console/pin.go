package console

import (
	"io"
	"os"
	"strconv"
	"time"

	"golang.org/x/term"
)

// defaultColumns is the width of a terminal that does not say its own.
const defaultColumns = 80

// redraw is how often a pinned line is drawn anew.
const redraw = 100 * time.Millisecond

// pin is a line below all messages.
type pin struct {
	line  func(columns int) string
	drawn string // what stands on the terminal; "" for nothing
	stop  chan struct{}
	ended chan struct{}
}

// Pin shows a line below all messages, and draws it anew several times a second until unpin takes it away. One line is
// pinned at a time: a new one takes the place of the old one.
func (t *Terminal) Pin(line func(columns int) string) (unpin func()) {
	p := &pin{line: line, stop: make(chan struct{}), ended: make(chan struct{})}
	t.mu.Lock()
	t.clear()
	t.pinned = p
	t.mu.Unlock()
	go t.follow(p)
	done := false
	return func() {
		if done {
			return
		}
		done = true
		close(p.stop)
		<-p.ended
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.pinned == p {
			t.clear()
			t.pinned = nil
		}
	}
}

// follow draws a line until it is taken away.
func (t *Terminal) follow(p *pin) {
	defer close(p.ended)
	tick := time.NewTicker(redraw)
	defer tick.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-tick.C:
			line := p.line(t.Columns()) // it takes a lock of its own, under which messages may be written
			t.mu.Lock()
			if t.pinned == p {
				t.draw(line)
			}
			t.mu.Unlock()
		}
	}
}

// draw puts the line where the cursor is, unless it stands there. The lock is held.
func (t *Terminal) draw(line string) {
	if t.pinned.drawn != line {
		t.pinned.drawn = line
		_, _ = io.WriteString(t.W, "\r"+line+"\x1b[K") // a line that cannot be drawn is no reason to stop
	}
}

// clear wipes the pinned line. The lock is held.
func (t *Terminal) clear() {
	if t.pinned != nil && t.pinned.drawn != "" {
		t.pinned.drawn = ""
		_, _ = io.WriteString(t.W, "\r\x1b[K")
	}
}

// above writes whole lines to w, which the terminal shows, and puts the pinned line below them.
func (t *Terminal) above(w io.Writer, b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	line := ""
	if t.pinned != nil {
		line = t.pinned.drawn
	}
	t.clear()
	n, err := w.Write(b)
	if line != "" && err == nil {
		t.draw(line)
	}
	return n, err
}

// Above is a writer for whole lines that puts them above what is pinned, where both w and standard error are the
// terminal; else it is w.
func (t *Terminal) Above(w io.Writer) io.Writer {
	if !t.Live || !IsTerminal(w) {
		return w
	}
	return aboveWriter{t, w}
}

type aboveWriter struct {
	t *Terminal
	w io.Writer
}

func (a aboveWriter) Write(b []byte) (int, error) { return a.t.above(a.w, b) }

// Columns is how wide the terminal is.
func (t *Terminal) Columns() int { return columnsOf(t.W) }

// Columns is how wide the terminal is that standard output goes to, or what the variable COLUMNS says.
func (con *Console) Columns() int {
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		return n
	}
	if IsTerminal(con.Stdout) {
		return columnsOf(con.Stdout)
	}
	return con.Term.Columns() // the terminal that a pager draws on
}

func columnsOf(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
			return columns
		}
	}
	return defaultColumns
}
