package image

import (
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"captioner/data/image/tiff"
)

// tiffGolden is what Pillow makes of the files in testdata/tiff.
type tiffGolden map[string]struct {
	Mode    string
	Upright sum
	Clip    map[string]string // by size: what clip's transform gives
}

func readTIFFGolden(t testing.TB) tiffGolden {
	t.Helper()
	var golden struct{ Files tiffGolden }
	readJSON(t, "tiff/golden.json", &golden)
	if len(golden.Files) < 100 {
		t.Fatalf("got %d files, want at least 100", len(golden.Files))
	}
	return golden.Files
}

// TestTIFFGolden compares files of every kind with what Pillow makes of them, as they are and scaled in their own mode.
func TestTIFFGolden(t *testing.T) {
	golden := readTIFFGolden(t)
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
			if got := sumOf(m); got != want.Upright {
				t.Errorf("mode %s: got %v, want %v", want.Mode, got, want.Upright)
			}
			for size, want := range want.Clip {
				n, err := strconv.Atoi(size)
				if err != nil {
					t.Fatal(err)
				}
				if got := hash(Preprocess{Size: n, Fit: FitCrop, ScaleFirst: true}.Apply(m)); got != want {
					t.Errorf("scaled to %s: got %s, want %s", size, got, want)
				}
			}
		})
	}
}
