package output

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOneRunAtATimeWritesAFile(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	first, err := OpenJournal(out, "x", false)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if _, err := OpenJournal(out, "x", false); err == nil || !strings.Contains(err.Error(), "another run is writing it") {
		t.Errorf("got %v, want a refusal", err)
	}
}

func FuzzJournal(f *testing.F) {
	f.Add([]byte("12 0123456789abcdef01234567 a.png\n30 0123456789abcdef01234568 b.png\n30 000000000000000000000000\n"), 40)
	f.Add([]byte("9999999999999999999 00 x\n-1"), 0)
	f.Add([]byte("5 0123456789abcdef01234567"), 5)
	f.Fuzz(func(t *testing.T, notes []byte, size int) {
		if size < 0 || size > 1<<16 {
			return
		}
		out := filepath.Join(t.TempDir(), "out")
		head := "captioner journal 2 x\n"
		if err := errors.Join(os.WriteFile(out+".journal", append([]byte(head), notes...), 0o600), os.WriteFile(out+".part", make([]byte, size), 0o600)); err != nil {
			t.Fatal(err)
		}
		o, err := OpenJournal(out, "x", true)
		if err != nil {
			t.Fatal(err)
		}
		defer o.Close()
		info, err := o.part.Stat()
		if err != nil || info.Size() != o.Size || o.Size > int64(size) || len(o.Done) > bytes.Count(notes, []byte("\n")) {
			t.Fatalf("%d bytes and %d pictures are left of %d bytes and %q", o.Size, len(o.Done), size, notes)
		}
	})
}
