package console

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

// Terminal is standard error: messages, and on a real terminal a line that is pinned below them.
type Terminal struct {
	mu     sync.Mutex
	W      io.Writer
	pinned *pin // nil where none is shown
	Live   bool // a person is watching: a line may be pinned
	color  bool
	Log    *slog.Logger
}

func newTerminal(w io.Writer, getenv func(string) string) *Terminal {
	t := &Terminal{W: w}
	if IsTerminal(w) && getenv("TERM") != "dumb" {
		t.Live = getenv("CI") == ""
		t.color = getenv("NO_COLOR") == ""
	}
	t.SetLog(Options{LogFormat: "text"})
	return t
}

// IsTerminal says whether a person reads what is written.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// SetLog makes the logger that the common flags ask for.
func (t *Terminal) SetLog(o Options) {
	level := slog.LevelInfo
	switch {
	case o.Quiet:
		level = slog.LevelWarn
		t.Live = false
	case o.Verbose:
		level = slog.LevelDebug
	}
	if o.LogFormat == "json" {
		t.Log = slog.New(slog.NewJSONHandler(t, &slog.HandlerOptions{Level: level}))
		t.Live = false
		return
	}
	t.Log = slog.New(&plainHandler{t: t, level: level})
}

// Write prints whole lines above what is pinned.
func (t *Terminal) Write(b []byte) (int, error) { return t.above(t.W, b) }

// Fail prints an error and its hint.
func (t *Terminal) Fail(err error, attrs ...any) {
	if hint := HintOf(err); hint != "" {
		attrs = append(attrs, "hint", hint)
	}
	t.Log.Error(Message(err), attrs...)
}

// plainHandler writes records for people: the message, then key=value. Errors, warnings and hints begin with their
// name.
type plainHandler struct {
	t     *Terminal
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
