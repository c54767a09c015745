package image

import (
	"bytes"
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"math"
	"strings"
	"sync"
	"testing"
)

func TestCrop(t *testing.T) {
	m := noise(5, 4, 1)
	in := Crop(m, 1, 2, 3, 2)
	for y := range 2 {
		for x := range 3 {
			for c := range 3 {
				if got, want := in.Pix[3*(3*y+x)+c], m.Pix[3*(5*(y+2)+x+1)+c]; got != want {
					t.Errorf("pixel %d, %d, channel %d: got %d, want %d", x, y, c, got, want)
				}
			}
		}
	}
	over := Crop(m, -2, -1, 9, 6)
	if got, want := Crop(over, 2, 1, 5, 4), m; hash(got) != hash(want) {
		t.Error("the part of a crop over the edges is not the image")
	}
	for i, v := range over.Pix[:3*9] {
		if v != 0 {
			t.Errorf("byte %d over the edge: got %d, want 0", i, v)
		}
	}
	if got := Crop(m, 9, 9, 2, 2); hash(got) != hash(New(2, 2)) {
		t.Error("a crop beside the image is not black")
	}
}

func TestResizeEmpty(t *testing.T) {
	for _, m := range []*RGB{Resize(New(0, 0), 3, 3), Resize(New(3, 3), 0, 2), Resize(New(3, 3), 2, -1)} {
		if m.W != 0 || m.H != 0 || len(m.Pix) != 0 {
			t.Errorf("got %d x %d pixels, want none", m.W, m.H)
		}
	}
}

// TestExtremeShape makes only the square of a row that would be 14.7 million
// pixels wide.
func TestExtremeShape(t *testing.T) {
	for _, m := range []*RGB{noise(65500, 1, 1), noise(1, 65500, 1)} {
		if got := (Preprocess{Size: 224, Fit: FitCrop}).Apply(m); got.W != 224 || got.H != 224 {
			t.Errorf("got %d x %d pixels, want 224 x 224", got.W, got.H)
		}
	}
}

func TestValidate(t *testing.T) {
	good := Preprocess{Size: 224, Fit: FitCrop, Mean: [3]float64{1, 2, 3}, Std: [3]float64{1, 2, 3}}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(p *Preprocess){
		"size 0":     func(p *Preprocess) { p.Size = 0 },
		"size 99999": func(p *Preprocess) { p.Size = 99999 },
		`fit "Crop"`: func(p *Preprocess) { p.Fit = "Crop" },
		"channel 2":  func(p *Preprocess) { p.Std[2] = 0 },
		"channel 1":  func(p *Preprocess) { p.Mean[1] = math.NaN() },
		"channel 0":  func(p *Preprocess) { p.Std[0] = math.Inf(1) },
	} {
		p := good
		change(&p)
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one with %s", err, want)
		}
	}
}

func TestPreprocessJSON(t *testing.T) {
	p := Preprocess{Size: 224, Fit: FitSquash, Mean: [3]float64{1, 2, 3}, Std: [3]float64{4, 5, 6}}
	const want = `{"size":224,"fit":"squash","mean":[1,2,3],"std":[4,5,6]}`
	b, err := json.Marshal(p)
	if err != nil || string(b) != want {
		t.Errorf("got %s, %v, want %s", b, err, want)
	}
	first := p
	first.ScaleFirst = true
	if b, err := json.Marshal(first); err != nil || string(b) != strings.TrimSuffix(want, "}")+`,"scale_first":true}` {
		t.Errorf("got %s, %v, want scale_first at the end of %s", b, err, want)
	}
	var back Preprocess
	if err := json.Unmarshal(b, &back); err != nil || back != p {
		t.Errorf("got %v, %v, want %v", back, err, p)
	}
}

// TestCutGrey looks at grey of 16 bits as Pillow 13 makes RGB of it, and as it is without.
func TestCutGrey(t *testing.T) {
	for _, tt := range []struct {
		value      uint16
		whole, cut uint8
	}{{0x00c8, 0x00, 0xc8}, {0x41f4, 0x41, 0xff}} {
		grey := image.NewGray16(image.Rect(0, 0, 1, 1))
		grey.SetGray16(0, 0, color.Gray16{Y: tt.value})
		var file bytes.Buffer
		if err := png.Encode(&file, grey); err != nil {
			t.Fatal(err)
		}
		m, err := Decode(file.Bytes(), DefaultOptions())
		if err != nil {
			t.Fatal(err)
		}
		p := Preprocess{Size: 1, Fit: FitSquash}
		whole := p.Apply(m).Pix[0]
		p.CutGrey = true
		if cut := p.Apply(m).Pix[0]; whole != tt.whole || cut != tt.cut {
			t.Errorf("%#x: got %#x, and %#x cut, want %#x and %#x", tt.value, whole, cut, tt.whole, tt.cut)
		}
	}
}

// TestApplyConcurrently is for the race detector, and shows that Apply leaves
// its image as it is.
func TestApplyConcurrently(t *testing.T) {
	m := noise(90, 70, 1)
	before, p := hash(m), Preprocess{Size: 32, Fit: FitCrop}
	want := hash(p.Apply(m))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				if got := hash(p.Apply(m)); got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			}
		})
	}
	wg.Wait()
	if got := hash(m); got != before {
		t.Error("Apply changed its image")
	}
}

// The middle of three columns too many begins at the first by Hugging Face's rule and at the second by torchvision's.
func TestCropFloor(t *testing.T) {
	m := New(10, 7)
	for i := range m.Pix {
		m.Pix[i] = uint8(i)
	}
	for _, tt := range []struct {
		floor bool
		x     int
	}{{true, 1}, {false, 2}} {
		p := Preprocess{Size: 7, Fit: FitCrop, CropFloor: tt.floor}
		if got, want := p.Apply(m), Crop(m, tt.x, 0, 7, 7); hash(got) != hash(want) {
			t.Errorf("CropFloor %v: got another part of the image, want that from column %d on", tt.floor, tt.x)
		}
	}
}
