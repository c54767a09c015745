package tiff

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// testFiles reads the files of ../testdata/tiff by name; package image holds their pixels to Pillow's.
func testFiles(t testing.TB) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob("../testdata/tiff/*.tif")
	if err != nil || len(paths) == 0 {
		t.Fatalf("got %d files, %v, want some", len(paths), err)
	}
	files := map[string][]byte{}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(path)] = b
	}
	return files
}

func needExact(t testing.TB) {
	t.Helper()
	if !Exact {
		t.Skip("this build is without libtiff")
	}
}

// TestRefuses also holds messages to one line.
func TestRefuses(t *testing.T) {
	needExact(t)
	plain := testFiles(t)["rgb-packbits.tif"]
	// change sets the value of a tag of one number.
	change := func(tag uint16, to byte) []byte {
		b := append([]byte(nil), plain...)
		d, _ := readDirectory(b)
		e, ok := d.tag(tag)
		if !ok {
			t.Fatalf("no tag %d in the file", tag)
		}
		e[8], e[9] = to, 0
		return b
	}
	for _, c := range []struct {
		name string
		b    []byte
		want error
		text string
	}{
		{"no bytes", nil, ErrTruncated, ""},
		{"the start only", plain[:4], ErrTruncated, ""},
		{"no directory", plain[:len(plain)/2], ErrTruncated, ""},
		{"a directory at 0", []byte("II*\x00\x00\x00\x00\x00"), ErrTruncated, ""},
		{"another format", []byte("GIF89a..................."), ErrCorrupt, ""},
		{"a compression that nobody has", change(259, 77), ErrUnsupported, "unsupported: compression 77"},
		{"log colors", change(262, 9), ErrUnsupported, "unsupported: ICC L*a*b* with 3 samples of 8 bits a pixel"},
		{"masks", change(262, 4), ErrUnsupported, "unsupported: mask with 3 samples of 8 bits a pixel"},
		{"other data than it says", change(259, 8), ErrCorrupt, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := Decode(c.b)
			var e *Error
			if !errors.As(err, &e) || !errors.Is(err, c.want) {
				t.Fatalf("got %v, %v, want an *Error of %v", m, err, c.want)
			}
			if c.text != "" && err.Error() != c.text {
				t.Errorf("got %q, want %q", err, c.text)
			}
			if strings.ContainsRune(err.Error(), '\n') {
				t.Errorf("got %q, want one line", err)
			}
		})
	}
}

// TestLargeTiles gives an image of one pixel tiles of 4 gigapixels: no memory is taken for them.
func TestLargeTiles(t *testing.T) {
	needExact(t)
	b := testFiles(t)["tiles-none.tif"]
	d, _ := readDirectory(b)
	for _, tag := range []uint16{322, 323} {
		e, ok := d.tag(tag)
		if !ok {
			t.Fatalf("no tag %d in the file", tag)
		}
		e[8], e[9] = 0xf0, 0xff
	}
	if m, err := Decode(b); !errors.Is(err, ErrUnsupported) && !errors.Is(err, ErrCorrupt) {
		t.Errorf("got %v, %v, want it refused", m, err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, b := range testFiles(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		Integer(b, 0x0112, 1)
		w, h, err := Config(b)
		if err != nil || w < 1 || h < 1 || w > 1<<16/h {
			return
		}
		m, err := Decode(b)
		var e *Error
		switch {
		case err != nil && !errors.As(err, &e):
			t.Errorf("got %T, want an *Error", err)
		case err != nil && strings.ContainsRune(err.Error(), '\n'):
			t.Errorf("got %q, want one line", err)
		case err == nil && (m.W != w || m.H != h || len(m.Pix) != 3*w*h):
			t.Errorf("got %d x %d pixels in %d bytes, want %d x %d", m.W, m.H, len(m.Pix), w, h)
		case err == nil && m.Samples != nil && len(m.Samples) != m.Mode.sampleBytes()*w*h:
			t.Errorf("got %d bytes of samples of mode %d, want %d", len(m.Samples), m.Mode, m.Mode.sampleBytes()*w*h)
		}
	})
}
