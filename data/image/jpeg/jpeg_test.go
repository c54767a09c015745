package jpeg

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"testing"
)

func testFile(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("../testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		name             string
		w, h, components int
	}{
		{"420.jpg", 147, 97, 3}, {"progressive.jpg", 147, 97, 3}, {"rgb.jpg", 53, 39, 3},
		{"grey.jpg", 53, 39, 1}, {"cmyk.jpg", 53, 39, 4}, {"one.jpg", 1, 1, 3},
	} {
		w, h, components, err := Config(testFile(t, c.name))
		if err != nil || w != c.w || h != c.h || components != c.components {
			t.Errorf("%s: got %d x %d, %d components, %v, want %d x %d, %d",
				c.name, w, h, components, err, c.w, c.h, c.components)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	b := testFile(t, "420.jpg")
	good := make([]byte, 3*147*97)
	if inks, err := Decode(good, b, false); err != nil || inks != nil {
		t.Errorf("got %d bytes of ink, %v, want none", len(inks), err)
	}
	for _, n := range []int{0, len(good) - 1, len(good) + 1} {
		if _, err := Decode(make([]byte, n), b, false); err == nil {
			t.Errorf("buffer of %d bytes: got no error, want one", n)
		}
	}
	for _, n := range []int{0, 2, 20, 200, len(b) / 2} {
		if _, err := Decode(good, b[:n], false); !errors.Is(err, ErrTruncated) {
			t.Errorf("cut to %d bytes: got %v, want %v", n, err, ErrTruncated)
		}
	}
	if _, err := Decode(good, []byte("\xff\xd8\xff\xda\x00\x02\xff\xd9"), false); err == nil {
		t.Error("no frame: got no error, want one")
	}
}

// TestScansAreLimited repeats the last scan of a progressive file: without a
// limit a few megabytes keep a processor busy for minutes.
func TestScansAreLimited(t *testing.T) {
	b := testFile(t, "progressive.jpg")
	last := bytes.LastIndex(b, []byte("\xff\xda"))
	scan := b[last : len(b)-2]
	dst := make([]byte, 3*147*97)
	of := func(scans int) []byte {
		return slices.Concat(b[:last], bytes.Repeat(scan, scans), []byte("\xff\xd9"))
	}
	if _, err := Decode(dst, of(50), false); Exact && err != nil {
		t.Errorf("50 scans: %v", err)
	}
	_, err := Decode(dst, of(maxScans), false)
	if err == nil || Exact && err.Error() != "too many scans" {
		t.Errorf("%d scans: got error %v, want too many scans", maxScans, err)
	}
}

// TestBlackInk holds the conversion to its definition: c*k/255, rounded, off k.
func TestBlackInk(t *testing.T) {
	for k := range 256 {
		for c := range 256 {
			src := []byte{uint8(c), uint8(c), uint8(c), uint8(k)}
			dst := make([]byte, 3)
			FromCMYK(dst, src)
			ink := ((255-c)*k*2 + 255) / 510
			if want := uint8(k - ink); dst[0] != want || dst[1] != want || dst[2] != want {
				t.Fatalf("sample %d, black %d: got %v, want %d", c, k, dst, want)
			}
		}
	}
}
