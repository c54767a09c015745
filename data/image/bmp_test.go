package image

import (
	"bytes"
	"encoding/binary"
	"errors"
	"path/filepath"
	"testing"
)

// TestBMPGolden compares bitmaps of every kind with what Pillow makes of them.
func TestBMPGolden(t *testing.T) {
	for name, want := range readPillow(t, "bmp", 40) {
		t.Run(name, func(t *testing.T) {
			m, err := Decode(testFile(t, filepath.Join("bmp", name)), DefaultOptions())
			if err != nil {
				t.Fatalf("mode %s: %v", want.Mode, err)
			}
			want.compare(t, m)
		})
	}
}

// TestBMPErrors refuses what is not read, and what is cut anywhere, for its reason.
func TestBMPErrors(t *testing.T) {
	file := func(name string, at int, value uint32) []byte {
		b := bytes.Clone(testFile(t, filepath.Join("bmp", name)))
		binary.LittleEndian.PutUint32(b[at:], value)
		return b
	}
	const header, width, compression = 14, 18, 30
	for _, c := range []struct {
		name string
		b    []byte
		want error
		text string
	}{
		{"a JPEG inside", file("rgb24.bmp", compression, 4), ErrUnsupported, "compression 4"},
		{"runs of 24 bits", file("rgb24.bmp", compression, 1), ErrUnsupported, "24 bits a pixel with compression 1"},
		{"fax of OS/2", file("rgb24-os22.bmp", compression, 3), ErrUnsupported, "compression 3"},
		{"a header of no kind", file("rgb24.bmp", header, 41), ErrUnsupported, "a header of 41 bytes"},
		{"no width", file("rgb24.bmp", width, 0), ErrCorrupt, "0 x 26 pixels"},
		{"a width below zero", file("rgb24.bmp", width, 1<<31), ErrCorrupt, "-2147483648 x 26 pixels"},
		{"wider than its data", file("rgb24.bmp", width, 1000), ErrTruncated, "data ends before the image does"},
	} {
		_, err := Decode(c.b, DefaultOptions())
		var e *Error
		if !errors.As(err, &e) || e.Format != "BMP" || e.Reason != c.want || e.Detail != c.text {
			t.Errorf("%s: got %v, want %v: %s", c.name, err, c.want, c.text)
		}
	}
	for _, name := range []string{"palette4.bmp", "runs4.bmp", "runs8-pairs.bmp", "bgra-56.bmp", "rgb24-core.bmp"} {
		b := testFile(t, filepath.Join("bmp", name))
		for n := 2; n < len(b)-4; n++ {
			if _, err := Decode(b[:n], DefaultOptions()); !errors.Is(err, ErrTruncated) {
				t.Fatalf("%s, cut to %d of %d bytes: got %v, want %v", name, n, len(b), err, ErrTruncated)
			}
		}
	}
}
