package bmp_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"captioner/data/image/bmp"
)

// FuzzDecode reads whatever comes without a panic, and within the size that the header says.
func FuzzDecode(f *testing.F) {
	names, err := filepath.Glob("../testdata/bmp/*.bmp")
	if err != nil || len(names) == 0 {
		f.Fatalf("got %d bitmaps, %v", len(names), err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		const limit = 1 << 16
		w, h, err := bmp.Size(b)
		if err == nil && w > 0 && h > 0 && w > limit/h {
			return
		}
		m, err := bmp.Decode(b)
		var unsupported bmp.UnsupportedError
		switch {
		case err != nil && m != nil:
			t.Errorf("got an image and %v", err)
		case errors.Is(err, bmp.ErrCorrupt) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &unsupported):
		case err != nil:
			t.Errorf("got %v, want an error of this package", err)
		case m.W != w || m.H != h || len(m.Pix) != 3*w*h || m.Alpha != nil && len(m.Alpha) != w*h:
			t.Errorf("got %d x %d pixels in %d and %d bytes, want %d x %d", m.W, m.H, len(m.Pix), len(m.Alpha), w, h)
		}
	})
}
