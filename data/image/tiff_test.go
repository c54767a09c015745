package image

import (
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"captioner/data/image/tiff"
)

// TestTIFFGolden compares files of every kind with what Pillow makes of them, as they are and scaled in their own mode.
func TestTIFFGolden(t *testing.T) {
	golden := readPillow(t, "tiff", 100)
	for _, name := range slices.Sorted(maps.Keys(golden)) {
		want := golden[name]
		t.Run(name, func(t *testing.T) {
			m, err := Decode(testFile(t, filepath.Join("tiff", name)), DefaultOptions())
			if !tiff.Exact && (errors.Is(err, ErrUnsupported) || errors.Is(err, ErrCorrupt)) {
				t.Skipf("only libtiff reads it: %v", err)
			}
			if err != nil {
				t.Fatalf("mode %s: %v", want.Mode, err)
			}
			if !tiff.Exact {
				return // golang.org/x/image has rules of its own
			}
			want.compare(t, m)
		})
	}
}
