package image_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"captioner/data/image"
)

// TestRaw decodes the preview of every kind of raw file, turned as the camera was.
func TestRaw(t *testing.T) {
	files, err := filepath.Glob("raw/testdata/a.*")
	if err != nil || len(files) != 7 {
		t.Fatalf("found %q, %v, want seven files", files, err)
	}
	for _, path := range files {
		if !image.HasRawExtension(path) || image.HasExtension(path) {
			t.Errorf("%s is not known by its extension", path)
		}
		for orient, want := range map[bool][2]int{true: {30, 40}, false: {40, 30}} {
			m, err := image.DecodeFile(path, image.Options{Orient: orient})
			if err != nil {
				t.Errorf("%v", err)
				continue
			}
			if m.W != want[0] || m.H != want[1] || m.Pix[0] < 150 || m.Pix[2] > 100 {
				t.Errorf("%s: got %d x %d, %v, want %v of red", path, m.W, m.H, m.Pix[:3], want)
			}
		}
	}
	b, err := os.ReadFile("raw/testdata/a.raf")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := image.Decode(b[:100], image.Options{}); !errors.Is(err, image.ErrUnsupported) {
		t.Errorf("without its preview: %v", err)
	}
}
