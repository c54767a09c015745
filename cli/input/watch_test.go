package input

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"captioner/cli/console"
)

// Lost events are made good: what is captioned already is not captioned again.
func TestWatchOverflow(t *testing.T) {
	dir := t.TempDir()
	for i := range 3 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.png", i)), []byte("a"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w, err := NewWatcher(Inputs{Args: []string{dir}, Recursive: true}, console.New(nil, io.Discard, io.Discard).Term)
	if err != nil {
		t.Fatal(err)
	}
	defer w.events.Close()
	info, _ := os.Stat(filepath.Join(dir, "1.png"))
	w.know(filepath.Join(dir, "1.png"), StampOf(info))
	w.folder(dir, func(in Input) bool { t.Error(in.Err); return true })
	var got []string
	for end := time.Now().Add(10 * time.Second); len(got) < 2 &&
		time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		for _, in := range w.ready() {
			got = append(got, in.Key)
		}
	}
	if len(w.pending) > 0 || len(got) != 2 || got[0] != "0.png" || got[1] != "2.png" {
		t.Errorf("got %q and %d pending, want 0.png and 2.png", got, len(w.pending))
	}
}
