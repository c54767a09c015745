package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"
)

// terminal is standard error: messages, and on a real terminal a progress bar below them.
type terminal struct {
	mu    sync.Mutex
	w     io.Writer
	bar   *bar // nil where none is shown
	live  bool // a person is watching: a bar may be drawn
	color bool
	log   *slog.Logger
}

func newTerminal(w io.Writer, getenv func(string) string) *terminal {
	t := &terminal{w: w}
	if isTerminal(w) && getenv("TERM") != "dumb" {
		t.live = getenv("CI") == ""
		t.color = getenv("NO_COLOR") == ""
	}
	t.setLog(commonOptions{LogFormat: "text"})
	return t
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// setLog makes the logger that the common flags ask for.
func (t *terminal) setLog(o commonOptions) {
	level := slog.LevelInfo
	switch {
	case o.Quiet:
		level = slog.LevelWarn
		t.live = false
	case o.Verbose:
		level = slog.LevelDebug
	}
	if o.LogFormat == "json" {
		t.log = slog.New(slog.NewJSONHandler(t, &slog.HandlerOptions{Level: level}))
		t.live = false
		return
	}
	t.log = slog.New(&plainHandler{t: t, level: level})
}

// Write prints whole lines above the progress bar.
func (t *terminal) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.bar != nil {
		t.bar.clear()
	}
	return t.w.Write(b)
}

// fail prints an error and its hint.
func (t *terminal) fail(err error, attrs ...any) {
	if hint := hintOf(err); hint != "" {
		attrs = append(attrs, "hint", hint)
	}
	t.log.Error(oneLine(err), attrs...)
}

// plainHandler writes records for people: the message, then key=value. Errors, warnings and hints begin with their name.
type plainHandler struct {
	t     *terminal
	level slog.Level
	attrs []slog.Attr
}

func (h *plainHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level }
func (h *plainHandler) WithGroup(string) slog.Handler                { return h }
func (h *plainHandler) WithAttrs(a []slog.Attr) slog.Handler {
	return &plainHandler{h.t, h.level, append(h.attrs[:len(h.attrs):len(h.attrs)], a...)}
}

func (h *plainHandler) Handle(_ context.Context, r slog.Record) error {
	var s strings.Builder
	switch {
	case r.Level >= slog.LevelError:
		s.WriteString(h.paint("error:", "31") + " ")
	case r.Level >= slog.LevelWarn:
		s.WriteString(h.paint("warning:", "33") + " ")
	case r.Level < slog.LevelInfo:
		s.WriteString(h.paint("debug:", "2") + " ")
	}
	s.WriteString(r.Message)
	hint := ""
	write := func(a slog.Attr) bool {
		if a.Key == "hint" {
			hint = a.Value.String()
		} else {
			fmt.Fprintf(&s, " %s=%v", a.Key, a.Value)
		}
		return true
	}
	for _, a := range h.attrs {
		write(a)
	}
	r.Attrs(write)
	if hint != "" {
		s.WriteString("\n" + h.paint("hint:", "36") + " " + hint)
	}
	s.WriteByte('\n')
	_, err := io.WriteString(h.t, s.String())
	return err
}

func (h *plainHandler) paint(s, code string) string {
	if !h.t.color {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}
