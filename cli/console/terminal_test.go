package console

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
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
	p := NewProgress(newTerminal(&w, func(string) string { return "" }), "images")
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
	p.Set(5_000_000, 20_000_000)
	got := strings.Split(w.String(), "\n")
	if len(got) != 3 || !strings.HasPrefix(got[0], "model.pt: 2 MB, 0 bytes/s") ||
		!strings.HasPrefix(got[1], "model.pt: 5 MB of 20 MB, ") ||
		!strings.HasSuffix(got[1], " left") {
		t.Errorf("got %q", got)
	}
}
