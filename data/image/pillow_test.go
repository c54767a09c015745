package image

import (
	"path/filepath"
	"strconv"
	"testing"
)

// pillow is what Pillow makes of a file.
type pillow struct {
	Mode    string
	Upright sum
	Clip    map[string]string // by size: what clip's transform gives
}

// readPillow reads the golden values of the files in a folder of testdata, of which there are at least as many as said.
func readPillow(t testing.TB, folder string, least int) map[string]pillow {
	t.Helper()
	var golden struct{ Files map[string]pillow }
	readJSON(t, filepath.Join(folder, "golden.json"), &golden)
	if len(golden.Files) < least {
		t.Fatalf("got %d files, want at least %d", len(golden.Files), least)
	}
	return golden.Files
}

// compare compares m with what Pillow makes of it, as it is and scaled in its own mode.
func (want pillow) compare(t *testing.T, m *RGB) {
	t.Helper()
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
}
