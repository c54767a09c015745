package raw_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"captioner/data/image/raw"
)

// kinds are all kinds; the files are made by scripts/fixtures/raw.py.
var kinds = []string{"DNG", "CR2", "CR3", "NEF", "ARW", "ORF", "RAF"}

func read(t testing.TB, kind string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "a."+strings.ToLower(kind)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFind(t *testing.T) {
	for _, kind := range kinds {
		b := read(t, kind)
		if got := raw.Kind(b); got != kind {
			t.Errorf("%s: got the kind %q", kind, got)
		}
		p, err := raw.Find(b)
		if err != nil || p.W != 40 || p.H != 30 {
			t.Errorf("%s: got %d x %d, %v, want 40 x 30", kind, p.W, p.H, err)
		}
		if want := map[bool]int{true: 0, false: 6}[kind == "RAF"]; p.Orientation != want { // RAF: in the JPEG itself
			t.Errorf("%s: got the orientation %d, want %d", kind, p.Orientation, want)
		}
	}
	for _, s := range []string{"", "II*\x00", "\xff\xd8\xff\xe0", "MM\x00*\x00\x00\x00\x08\x00\x00"} {
		b := []byte(s)
		if kind := raw.Kind(b); kind != "" {
			t.Errorf("%q: got the kind %q", b, kind)
		}
		if _, err := raw.Find(b); err == nil {
			t.Errorf("%q: has a preview", b)
		}
	}
}

// TestCut cuts files anywhere, and lets each word of four bytes lead elsewhere: no preview lies outside its file.
func TestCut(t *testing.T) {
	for _, kind := range kinds {
		b := read(t, kind)
		for n := range b {
			within(t, kind, b[:n])
		}
		for i := 0; i+4 <= len(b); i += 2 {
			for _, v := range []uint32{0, 8, uint32(i), uint32(len(b) - 1), 0xffffffff, 0x7fffffff} {
				odd := bytes.Clone(b)
				binary.LittleEndian.PutUint32(odd[i:], v)
				within(t, kind, odd)
				binary.BigEndian.PutUint32(odd[i:], v)
				within(t, kind, odd)
			}
		}
	}
}

func within(t *testing.T, kind string, b []byte) {
	t.Helper()
	p, err := raw.Find(b)
	if err == nil && (len(p.JPEG) > len(b) || p.W < 1 || p.H < 1) {
		t.Errorf("%s of %d bytes: a preview of %d bytes, %d x %d", kind, len(b), len(p.JPEG), p.W, p.H)
	}
}

// TestLoop follows directories that lead to each other.
func TestLoop(t *testing.T) {
	b := []byte("IIRO\x08\x00\x00\x00\x01\x00\x4a\x01\x04\x00\x01\x00\x00\x00\x08\x00\x00\x00\x08\x00\x00\x00")
	if _, err := raw.Find(b); err == nil {
		t.Error("a loop has a preview")
	}
}

func fuzz(f *testing.F, kinds ...string) {
	for _, kind := range kinds {
		f.Add(read(f, kind))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := raw.Find(b); err == nil && len(p.JPEG) > len(b) {
			t.Error("the preview is longer than the file")
		}
	})
}

func FuzzTIFF(f *testing.F) { fuzz(f, "DNG", "CR2", "NEF", "ARW", "ORF") }

func FuzzCR3(f *testing.F) { fuzz(f, "CR3") }

func FuzzRAF(f *testing.F) { fuzz(f, "RAF") }
