package image_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"captioner/data/image"
)

func TestHasExtension(t *testing.T) {
	tests := map[string]bool{
		"a.jpg":              true,
		"folder.txt/IMG.JPG": true,
		"live.HEIC":          true,
		"iphone.heif":        true,
		"canon.hif":          true,
		"stereo.mpo":         true,
		"a.avif":             true,
		".png":               true,
		"jpg":                false,
		"a.jpg.txt":          false,
		"a.psd":              false,
		"":                   false,
	}
	for name, want := range tests {
		if got := image.HasExtension(name); got != want {
			t.Errorf("HasExtension(%q): got %v, want %v", name, got, want)
		}
	}
	if list := image.Extensions(); !slices.Contains(list, ".jpg") || slices.Contains(list, ".psd") {
		t.Errorf("Extensions: got %q", list)
	}
}

// TestEveryFormatHasAnExtension holds the list to what Decode reads: each image of testdata that decodes has a name
// that folders are searched for.
func TestEveryFormatHasAnExtension(t *testing.T) {
	entries, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	formats := map[string]bool{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join("testdata", e.Name()))
		if err != nil || !e.Type().IsRegular() {
			continue
		}
		format := image.Format(b)
		if format == "" {
			continue
		}
		if _, err := image.Decode(b, image.Options{}); err != nil {
			continue
		}
		formats[format] = true
		if !image.HasExtension(e.Name()) {
			t.Errorf("%s is %s, but its extension is not searched for", e.Name(), format)
		}
	}
	if len(formats) < 6 {
		t.Errorf("testdata has images of %d formats only: %v", len(formats), formats)
	}
}
