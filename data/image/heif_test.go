package image

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// The files are of one image; the codecs lose some of it.
func TestHEIF(t *testing.T) {
	plain, err := Decode(testFile(t, "heif-plain.png"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	wants := map[string]*RGB{"heif-plain.heic": plain, "heif-alpha.heic": plain, "heif-alpha.avif": plain}
	for o := 1; o <= 8; o++ {
		wants[fmt.Sprintf("heif-%d.avif", o)] = orient(plain, o)
	}
	for name, want := range wants {
		for _, o := range []Options{{}, DefaultOptions()} {
			got, err := Decode(testFile(t, name), o)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if got.W != want.W || got.H != want.H {
				t.Errorf("%s: %d x %d pixels, want %d x %d", name, got.W, got.H, want.W, want.H)
				continue
			}
			if mean := apart(got, want); mean > 3 {
				t.Errorf("%s: differs by %.1f in the mean, want at most 3", name, mean)
			}
			// Alpha is the same everywhere, and changes little.
			p := Preprocess{Size: 32, Fit: FitCrop, ScaleFirst: true}
			mean, hasAlpha := apart(p.Apply(got), p.Apply(want)), got.native.mode == modeAlpha
			if mean > 3 || hasAlpha != strings.Contains(name, "alpha") {
				t.Errorf("%s, scaled: of mode %d, differs by %.1f in the mean, want at most 3", name, got.native.mode, mean)
			}
		}
	}
}

// apart is how far two images of one size differ in the mean.
func apart(a, b *RGB) float64 {
	sum := 0
	for i := range a.Pix {
		sum += max(int(a.Pix[i])-int(b.Pix[i]), int(b.Pix[i])-int(a.Pix[i]))
	}
	return float64(sum) / float64(len(a.Pix))
}

// TestHEIC reads HEIC files of many bits, chroma layouts and widths, beside what libheif makes of them.
func TestHEIC(t *testing.T) {
	names, err := filepath.Glob("testdata/heic/*.heic")
	if err != nil || len(names) < 15 {
		t.Fatalf("got %d files, %v, want at least 15", len(names), err)
	}
	for _, name := range names {
		name = strings.TrimPrefix(name, "testdata/")
		t.Run(filepath.Base(name), func(t *testing.T) {
			want, err := Decode(testFile(t, strings.TrimSuffix(name, ".heic")+".png"), Options{})
			if err != nil {
				t.Fatal(err)
			}
			got, err := Decode(testFile(t, name), Options{})
			if err != nil {
				t.Fatal(err)
			}
			if got.W != want.W || got.H != want.H {
				t.Fatalf("got %d x %d pixels, want %d x %d", got.W, got.H, want.W, want.H)
			}
			if mean := apart(got, want); mean > 3 {
				t.Errorf("differs by %.1f in the mean, want at most 3", mean)
			}
		})
	}
}

func TestHEIFRefuses(t *testing.T) {
	avif := testFile(t, "heif-1.avif")
	const size = "ispe\x00\x00\x00\x00"
	large := []byte(strings.Replace(string(avif), size+"\x00\x00", size+"\x7f\xff", 1))
	deep := testFile(t, "heic/10-444.heic")
	jpeg := []byte(strings.ReplaceAll(string(testFile(t, "heif-plain.heic")), "hvc1", "jpeg"))
	sequence := []byte("\x00\x00\x00\x18ftyphevc\x00\x00\x00\x00hevcmsf1\x00\x00\x00\x08moov")
	for _, tc := range []struct {
		what string
		b    []byte
		o    Options
		want error
	}{
		{"no boxes", []byte("\x00\x00\x00\x18ftypheic...."), Options{}, ErrCorrupt},
		{"a size beyond the limit", large, Options{}, ErrTooLarge},
		{"a limit below the size", avif, Options{MaxPixels: 1000}, ErrTooLarge},
		{"a HEIC of 10 bits cut", deep[:len(deep)-200], Options{}, ErrCorrupt},
		{"another codec", jpeg, Options{}, ErrUnsupported},
		{"a sequence", sequence, Options{}, ErrUnsupported},
		{"cut", avif[:len(avif)-500], Options{}, ErrCorrupt},
		{"a HEIC cut", testFile(t, "heif-plain.heic")[:800], Options{}, ErrCorrupt},
	} {
		_, err := Decode(tc.b, tc.o)
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, want %v", tc.what, err, tc.want)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\n\t") || err != nil && strings.Contains(err.Error(), "wasm") {
			t.Errorf("%s: got %q, want one line of plain words", tc.what, err)
		}
	}
}

func FuzzHEIFBoxes(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x10meta\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if it := heifProperties(b); it.found && (it.w < 0 || it.h < 0) {
			t.Errorf("%+v", it)
		}
	})
}
