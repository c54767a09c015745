package image

import (
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestMetaGolden compares what stands beside the pixels with how Pillow takes it: orientations in EXIF, raw profiles
// and XMP, and checksums of PNG chunks that are wrong.
func TestMetaGolden(t *testing.T) {
	var golden struct {
		Files map[string]struct {
			Refused bool
			Upright sum
		}
	}
	readJSON(t, "meta/golden.json", &golden)
	if len(golden.Files) < 20 {
		t.Fatalf("got %d files, want at least 20", len(golden.Files))
	}
	for _, name := range slices.Sorted(maps.Keys(golden.Files)) {
		want := golden.Files[name]
		t.Run(name, func(t *testing.T) {
			if strings.HasSuffix(name, ".jpg") {
				needExact(t)
			}
			b := testFile(t, filepath.Join("meta", name))
			if _, err := Decode(b, DefaultOptions()); want.Refused != errors.Is(err, ErrCorrupt) {
				t.Errorf("got error %v, want it refused: %t", err, want.Refused)
			}
			m, err := Decode(b, Options{Orient: true, AllowTruncated: true})
			if err != nil {
				t.Fatal(err)
			}
			if got := sumOf(m); got != want.Upright {
				t.Errorf("got %v, want %v", got, want.Upright)
			}
		})
	}
}

func TestPNGTextIsLimited(t *testing.T) {
	long := testFile(t, "meta/raw2.png")
	if got := pngOrientation(long); got != 2 {
		t.Fatalf("got orientation %d, want 2", got)
	}
	for _, c := range []struct{ name, kind, data string }{
		{"no end of the keyword", "tEXt", "Raw profile type exif"},
		{"no method", "zTXt", "Raw profile type exif\x00"},
		{"another method", "zTXt", "Raw profile type exif\x00\x01abc"},
		{"no zlib", "zTXt", "Raw profile type exif\x00\x00abc"},
		{"no language", "iTXt", pngXMP + "\x00\x00\x00en"},
	} {
		if keyword, text, ok := pngText(c.kind, []byte(c.data)); ok {
			t.Errorf("%s: got %q, %q, want it refused", c.name, keyword, text)
		}
	}
}
