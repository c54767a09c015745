package image

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// pngHeader is a PNG file that ends after saying that it has w x h pixels.
func pngHeader(w, h uint32) []byte {
	b := binary.BigEndian.AppendUint32(nil, w)
	b = append(binary.BigEndian.AppendUint32(b, h), 8, 2, 0, 0, 0)
	return appendChunk([]byte(pngMagic), "IHDR", b)
}

// changed is b with one place changed.
func changed(b []byte, old, to string) []byte { return bytes.Replace(b, []byte(old), []byte(to), 1) }

func TestDecodeRefuses(t *testing.T) {
	jpg, png := testFile(t, "420.jpg"), testFile(t, "rgb.png")
	broken := bytes.Clone(png)
	broken[len(broken)/2] ^= 0x55
	for _, c := range []struct {
		name   string
		data   []byte
		o      Options
		want   error
		format string
		text   string
	}{
		{"no bytes", nil, Options{}, ErrEmpty, "", "decode image: no data: 0 bytes"},
		{"text", []byte("hello, world\n"), Options{}, ErrUnsupported, "",
			`decode image: unsupported: unknown format that starts with "hello, world"; ` +
				`supported are JPEG, PNG, GIF, BMP, WebP, TIFF, HEIC and AVIF`},
		{"JPEG start", jpg[:3], Options{}, ErrTruncated, "JPEG", "decode JPEG: truncated: data ends before the image does"},
		{"JPEG half", jpg[:len(jpg)/2], Options{}, ErrTruncated, "JPEG",
			"decode JPEG: truncated: data ends before the image does"},
		{"JPEG of 12 bits", changed(jpg, "\xff\xc0\x00\x11\x08", "\xff\xc0\x00\x11\x0c"), Options{},
			ErrUnsupported, "JPEG", ""},
		{"JPEG without losses", changed(jpg, "\xff\xc0\x00\x11", "\xff\xc3\x00\x11"), Options{},
			ErrUnsupported, "JPEG", ""},
		{"PNG start", png[:20], Options{}, ErrTruncated, "PNG", ""},
		{"PNG half", png[:len(png)/2], Options{}, ErrTruncated, "PNG", ""},
		{"PNG broken", broken, Options{AllowTruncated: true}, ErrCorrupt, "PNG",
			"decode PNG: corrupt: invalid format: bad filter type"},
		{"GIF start", []byte("GIF89a"), Options{}, ErrTruncated, "GIF", ""},
		{"WebP start", []byte("RIFF\x00\x00\x00\x00WEBP"), Options{}, ErrCorrupt, "WebP", ""},
		{"BMP start", []byte("BM"), Options{}, ErrTruncated, "BMP", ""},
		{"TIFF start", []byte("II*\x00"), Options{}, ErrTruncated, "TIFF", ""},
		{"bomb", pngHeader(30000, 30000), Options{}, ErrTooLarge, "PNG",
			"decode PNG: too large: 30000 x 30000 pixels, limit 178956970"},
		// The frame of 16383 x 16383 pixels would pass the limit by way of its canvas of one.
		{"WebP frame over its canvas", []byte("RIFF\x3e\x00\x00\x00" +
			"WEBPVP8X\x0a\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
			"ANMF\x22\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
			"VP8 \x0a\x00\x00\x00\x10\x00\x00\x9d\x01\x2a\xff\x3f\xff\x3f"), Options{}, ErrCorrupt, "WebP",
			"decode WebP: corrupt: frame of 16383 x 16383 at 0, 0 is not within the canvas of 1 x 1"},
		{"over a limit of its own", jpg, Options{MaxPixels: 147*97 - 1}, ErrTooLarge, "JPEG",
			"decode JPEG: too large: 147 x 97 pixels, limit 14258"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := Decode(c.data, c.o)
			var e *Error
			if m != nil || !errors.As(err, &e) {
				t.Fatalf("got %v, %v, want no image and an *Error", m, err)
			}
			if !errors.Is(err, c.want) || e.Format != c.format {
				t.Errorf("got %v of %q, want %v of %q", e.Reason, e.Format, c.want, c.format)
			}
			if c.text != "" && err.Error() != c.text {
				t.Errorf("got  %s\nwant %s", err, c.text)
			}
			if strings.ContainsRune(err.Error(), '\n') {
				t.Errorf("got %q, want one line", err)
			}
		})
	}
	if _, err := Decode(jpg, Options{MaxPixels: 147 * 97}); err != nil {
		t.Errorf("at the limit: %v", err)
	}
}

// TestLimitComesFirst shows that a bomb is refused before memory is taken.
func TestLimitComesFirst(t *testing.T) {
	webp := []byte("RIFF\x16\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x02\x00\x00\x00\xff\xff\xff\xff\xff\xff" +
		"ANMF\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00")
	bmp := make([]byte, 54)
	copy(bmp, "BM")
	bmp[10], bmp[14], bmp[26], bmp[28] = 54, 40, 1, 24
	binary.LittleEndian.PutUint32(bmp[18:], 1<<20)
	binary.LittleEndian.PutUint32(bmp[22:], 1<<20)
	for name, b := range map[string][]byte{
		"PNG": pngHeader(1<<20, 1<<20), "GIF": []byte("GIF89a\xff\xff\xff\xff\x00\x00\x00"), "BMP": bmp, "WebP": webp,
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Decode(b, DefaultOptions())
		runtime.ReadMemStats(&after)
		if !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: got error %v, want %v", name, err, ErrTooLarge)
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
			t.Errorf("%s: got %d bytes allocated, want less than 1 MiB", name, got)
		}
	}
}

// TestEveryPrefix cuts files everywhere: each prefix is a truncation, or the
// whole image when only what follows it is missing. With AllowTruncated the
// size is kept as soon as the header is there.
func TestEveryPrefix(t *testing.T) {
	for _, name := range []string{
		"restart.jpg", "rgb.png", "interlaced.png", "palette.gif", "lossless.webp", "plain.tif",
	} {
		b := testFile(t, name)
		whole, err := Decode(b, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for n := 1; n < len(b); n += 1 + len(b)/100 {
			m, err := Decode(b[:n], Options{})
			var e *Error
			switch {
			case err == nil && !bytes.Equal(m.Pix, whole.Pix):
				t.Errorf("%s cut to %d of %d bytes: got other pixels and no error", name, n, len(b))
			case err != nil && !errors.As(err, &e):
				t.Errorf("%s cut to %d bytes: got %T, want *Error", name, n, err)
			case err != nil && strings.HasSuffix(name, "g") && n > 12 && !errors.Is(err, ErrTruncated):
				t.Errorf("%s cut to %d bytes: got %v, want %v", name, n, err, ErrTruncated)
			}
			m, err = Decode(b[:n], Options{AllowTruncated: true})
			if err == nil && (m.W != whole.W || m.H != whole.H) {
				t.Errorf("%s cut to %d bytes and kept: got %d x %d, want %d x %d", name, n, m.W, m.H, whole.W, whole.H)
			}
		}
	}
}

// TestDecodeLeavesInput also shows that files may be decoded side by side.
func TestDecodeLeavesInput(t *testing.T) {
	names, err := filepath.Glob("testdata/*.*")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		before := bytes.Clone(b)
		for range 2 {
			wg.Go(func() {
				m, err := Decode(b, DefaultOptions())
				if err == nil && len(m.Pix) != 3*m.W*m.H {
					t.Errorf("%s: got %d bytes for %d x %d pixels", name, len(m.Pix), m.W, m.H)
				}
			})
		}
		wg.Wait()
		if !bytes.Equal(b, before) {
			t.Errorf("%s: Decode changed its input", name)
		}
	}
}

func TestNameDoesNotMatter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "picture.jpg")
	if err := os.WriteFile(path, testFile(t, "rgb.png"), 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := DecodeFile(path, DefaultOptions())
	if err != nil || m.W != 53 {
		t.Errorf("PNG named .jpg: got %v, %v, want an image 53 pixels wide", m, err)
	}
}

// TestDIB takes the file header off BMP files.
func TestDIB(t *testing.T) {
	for _, name := range []string{"1.bmp", "l.bmp", "p.bmp", "rgb.bmp", "two.bmp"} {
		b := testFile(t, name)
		want, err := Decode(b, Options{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(b[14:], Options{})
		if err != nil || !bytes.Equal(got.Pix, want.Pix) {
			t.Errorf("%s: got %v, %v, want the image of the whole file", name, got != nil, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	names, err := filepath.Glob("testdata/*.*")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		if filepath.Ext(name) != ".json" && len(b) < 4000 {
			f.Add(b, false)
			f.Add(b, true)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, keep bool) {
		const limit = 1 << 16
		m, err := Decode(b, Options{Orient: true, MaxPixels: limit, AllowTruncated: keep})
		var e *Error
		switch {
		case err != nil && (m != nil || !errors.As(err, &e)):
			t.Errorf("got %v and %T, want nothing and an *Error", m, err)
		case err != nil && strings.ContainsRune(err.Error(), '\n'):
			t.Errorf("got %q, want one line", err)
		case err == nil && (m.W < 1 || m.H < 1 || m.W*m.H > limit || len(m.Pix) != 3*m.W*m.H):
			t.Errorf("got %d x %d pixels in %d bytes", m.W, m.H, len(m.Pix))
		case err == nil:
			if small := (Preprocess{Size: 5, Fit: FitSquash, ScaleFirst: true}).Apply(m); len(small.Pix) != 3*5*5 {
				t.Errorf("scaled to %d x %d pixels in %d bytes", small.W, small.H, len(small.Pix))
			}
			if m.native.samples != nil && len(m.native.samples()) != m.native.mode.sample()*m.W*m.H {
				t.Errorf("got %d bytes of samples for %d x %d pixels of mode %d", len(m.native.samples()), m.W, m.H, m.native.mode)
			}
		}
	})
}
