package image

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"captioner/data/image/jpeg"
	"captioner/data/image/resample"
)

// sum is an image as the fixtures describe it.
type sum struct {
	W, H   int
	SHA256 string
}

func sumOf(m *RGB) sum { return sum{m.W, m.H, hash(m)} }

func hash(m *RGB) string {
	h := sha256.Sum256(m.Pix)
	return hex.EncodeToString(h[:])
}

func readJSON(t testing.TB, name string, to any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, to); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func testFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// needExact skips a comparison of JPEG pixels where the standard library decodes.
func needExact(t testing.TB) {
	t.Helper()
	if !jpeg.Exact {
		t.Skip("JPEG pixels are Pillow's only in builds with cgo and without the tag nolibjpeg")
	}
}

// TestDecodeGolden compares every file with what Pillow makes of it: stored,
// turned upright, and, for a damaged one, completed.
func TestDecodeGolden(t *testing.T) {
	var golden struct {
		Files map[string]struct {
			Refused bool
			Plain   *sum
			Upright sum
		}
	}
	readJSON(t, "decode.json", &golden)
	for _, name := range slices.Sorted(maps.Keys(golden.Files)) {
		want := golden.Files[name]
		t.Run(name, func(t *testing.T) {
			if strings.HasSuffix(name, ".jpg") {
				needExact(t)
			}
			if name == "truncated-progressive.jpg" && jpeg.Version < 3_000_000 {
				t.Skipf("libjpeg-turbo %d smooths missing scans otherwise than Pillow's does, from 3.0 on", jpeg.Version)
			}
			b := testFile(t, name)
			if want.Refused {
				if _, err := Decode(b, Options{}); !errors.Is(err, ErrTruncated) {
					t.Errorf("Decode: got error %v, want %v", err, ErrTruncated)
				}
			}
			m, err := Decode(b, Options{Orient: true, AllowTruncated: want.Refused})
			if err != nil {
				t.Fatal(err)
			}
			if got := sumOf(m); got != want.Upright {
				t.Errorf("upright: got %v, want %v", got, want.Upright)
			}
			if want.Plain == nil {
				return
			}
			if m, err = Decode(b, Options{AllowTruncated: want.Refused}); err != nil {
				t.Fatal(err)
			}
			if got := sumOf(m); got != *want.Plain {
				t.Errorf("plain: got %v, want %v", got, *want.Plain)
			}
		})
	}
}

// TestClipGolden compares every file with what clip's transform makes of it,
// which scales an image before it makes it RGB. A file without an entry is RGB
// already: it is the same both ways.
func TestClipGolden(t *testing.T) {
	var golden struct {
		Files map[string]struct{ Clip map[string]string }
	}
	readJSON(t, "decode.json", &golden)
	modes, convertedFirst := 0, 0
	for _, name := range slices.Sorted(maps.Keys(golden.Files)) {
		if strings.HasSuffix(name, ".jpg") && !jpeg.Exact {
			continue
		}
		m, err := Decode(testFile(t, name), Options{Orient: true, AllowTruncated: true})
		if err != nil {
			t.Fatal(err)
		}
		before := hash(m)
		wants := golden.Files[name].Clip
		if wants != nil {
			modes++
		} else {
			wants = map[string]string{"24": hash(Preprocess{Size: 24, Fit: FitCrop}.Apply(m))}
		}
		for size, want := range wants {
			n, err := strconv.Atoi(size)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second time from what the first has left
				if got := hash(Preprocess{Size: n, Fit: FitCrop, ScaleFirst: true}.Apply(m)); got != want {
					t.Errorf("%s to %s: got %s, want %s", name, size, got, want)
				}
			}
			if golden.Files[name].Clip != nil && hash(Preprocess{Size: n, Fit: FitCrop}.Apply(m)) == want {
				convertedFirst++
			}
		}
		if hash(m) != before {
			t.Errorf("%s: Apply changed its image", name)
		}
	}
	if modes < 25 || convertedFirst > modes {
		t.Errorf("got %d files of another mode than RGB, %d of them the same when converted first, want at least 25, "+
			"and most to differ", modes, convertedFirst)
	}
}

// TestScaleFirstOfParts crops, as training does, and the model's own scaling comes after that.
func TestScaleFirstOfParts(t *testing.T) {
	p := Preprocess{Size: 20, Fit: FitSquash, ScaleFirst: true}
	for _, name := range []string{"rgba.png", "cmyk.jpg", "palette.png", "dark16.png"} {
		m, err := Decode(testFile(t, name), Options{})
		if err != nil {
			t.Fatal(err)
		}
		whole := Crop(m, 0, 0, m.W, m.H)
		if got, want := hash(p.Apply(whole)), hash(p.Apply(m)); got != want {
			t.Errorf("%s: the whole as a crop gives %s, want %s", name, got, want)
		}
		half := Crop(orient(m, 3), 0, 0, m.W, m.H/2)
		same := orient(Crop(m, 0, m.H-m.H/2, m.W, m.H/2), 3)
		if got, want := hash(p.Apply(half)), hash(p.Apply(same)); got != want {
			t.Errorf("%s: turned and cut gives %s, cut and turned %s", name, got, want)
		}
	}
}

// noise makes the image that scripts/fixtures/images.py makes of a seed.
func noise(w, h, seed int) *RGB {
	m := New(w, h)
	x := uint32(seed)
	for i := range m.Pix {
		x = x*1664525 + 1013904223
		m.Pix[i] = uint8(x >> 24)
		if seed%3 == 0 {
			m.Pix[i] = uint8(int8(m.Pix[i]) >> 7)
		}
	}
	return m
}

type resizeCase struct {
	W, H, Seed int
	OutW       int    `json:"out_w"`
	OutH       int    `json:"out_h"`
	Want       string `json:"out_sha256"`
}

func TestResizeGolden(t *testing.T) {
	var golden struct {
		Resize     []resizeCase
		Preprocess []struct {
			W, H, Seed, Size int
			Crop, Squash     string
		}
	}
	readJSON(t, "resize.json", &golden)
	for _, c := range golden.Resize {
		if got := hash(Resize(noise(c.W, c.H, c.Seed), c.OutW, c.OutH)); got != c.Want {
			t.Errorf("Resize of %dx%d to %dx%d: got %s, want %s", c.W, c.H, c.OutW, c.OutH, got, c.Want)
		}
	}
	for _, c := range golden.Preprocess {
		src := noise(c.W, c.H, c.Seed)
		if got := hash(Preprocess{Size: c.Size, Fit: FitCrop}.Apply(src)); got != c.Crop {
			t.Errorf("crop of %dx%d to %d: got %s, want %s", c.W, c.H, c.Size, got, c.Crop)
		}
		if got := hash(Preprocess{Size: c.Size, Fit: FitSquash}.Apply(src)); got != c.Squash {
			t.Errorf("squash of %dx%d to %d: got %s, want %s", c.W, c.H, c.Size, got, c.Squash)
		}
	}
	if len(golden.Resize) < 100 || len(golden.Preprocess) < 50 {
		t.Errorf("got %d and %d cases, want at least 100 and 50", len(golden.Resize), len(golden.Preprocess))
	}
}

// TestRowsFirstGolden compares with a Pillow that always scales rows first.
func TestRowsFirstGolden(t *testing.T) {
	var golden struct{ Resize []resizeCase }
	readJSON(t, "resize-12.json", &golden)
	differ := 0
	for _, c := range golden.Resize {
		src, r := noise(c.W, c.H, c.Seed), resample.Rect{X1: c.OutW, Y1: c.OutH}
		if got := hash(resize(src, c.OutW, c.OutH, r, resample.Cubic, true)); got != c.Want {
			t.Errorf("%dx%d to %dx%d: got %s, want %s", c.W, c.H, c.OutW, c.OutH, got, c.Want)
		}
		if hash(resize(src, c.OutW, c.OutH, r, resample.Cubic, false)) != c.Want {
			differ++
		}
	}
	if differ == 0 {
		t.Error("got the same bytes in both orders for every case, want some that differ")
	}
}

// shared returns the folder of development data, or skips.
func shared(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("CAPTIONER_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared")
	}
	dir = filepath.Join(dir, "data", "coco-mini")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no COCO photographs: %v (set CAPTIONER_SHARED)", err)
	}
	return dir
}

// TestCOCO compares 76 real photographs with Pillow and torchvision.
func TestCOCO(t *testing.T) {
	needExact(t)
	dir := shared(t)
	var golden struct {
		Files map[string]struct {
			Plain        sum
			Crop, Squash string
		}
	}
	readJSON(t, "coco.json", &golden)
	for name, want := range golden.Files {
		m, err := DecodeFile(filepath.Join(dir, name), Options{})
		if err != nil {
			t.Error(err)
			continue
		}
		if got := sumOf(m); got != want.Plain {
			t.Errorf("%s: got %v, want %v", name, got, want.Plain)
		}
		if got := hash(Preprocess{Size: 224, Fit: FitCrop}.Apply(m)); got != want.Crop {
			t.Errorf("%s: crop: got %s, want %s", name, got, want.Crop)
		}
		if got := hash(Preprocess{Size: 224, Fit: FitSquash}.Apply(m)); got != want.Squash {
			t.Errorf("%s: squash: got %s, want %s", name, got, want.Squash)
		}
	}
}
