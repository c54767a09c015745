package cli

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Lost events are made good: what is captioned already is not captioned again.
func TestWatchOverflow(t *testing.T) {
	dir := pictures(t, 3)
	w, err := newWatcher(inputs{args: []string{dir}, recursive: true}, newConsole(nil, io.Discard, io.Discard).term)
	if err != nil {
		t.Fatal(err)
	}
	defer w.events.Close()
	info, _ := os.Stat(filepath.Join(dir, "1.png"))
	w.know(filepath.Join(dir, "1.png"), stampOf(info))
	w.folder(dir, func(in input) bool { t.Error(in.err); return true })
	var got []string
	for end := time.Now().Add(10 * time.Second); len(got) < 2 && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		for _, in := range w.ready() {
			got = append(got, in.key)
		}
	}
	if len(w.pending) > 0 || len(got) != 2 || got[0] != "0.png" || got[1] != "2.png" {
		t.Errorf("got %q and %d pending, want 0.png and 2.png", got, len(w.pending))
	}
}
