package resample

import (
	"bytes"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
)

// naive is the plain definition: every output value by itself, in big steps.
func naive(f Filter, src []byte, w, h, outW, outH int, rowsFirst bool) []byte {
	sum := func(a axis, i int, at func(int) byte) byte {
		s := int64(half)
		for j := range int(a.count[i]) {
			s += int64(a.weight[i*a.stride+j]) * int64(at(int(a.first[i])+j))
		}
		return byte(max(0, min(s>>precision, 255)))
	}
	ax, ay := newAxis(f, w, outW, 0, outW), newAxis(f, h, outH, 0, outH)
	rows := func(src []byte, h int) []byte {
		out := make([]byte, 3*outW*h)
		for i := range out {
			x, y, c := i/3%outW, i/3/outW, i%3
			out[i] = sum(ax, x, func(j int) byte { return src[3*(y*w+j)+c] })
		}
		return out
	}
	columns := func(src []byte, w int) []byte {
		out := make([]byte, 3*w*outH)
		for i := range out {
			x, y := i%(3*w), i/(3*w)
			out[i] = sum(ay, y, func(j int) byte { return src[3*w*j+x] })
		}
		return out
	}
	if !rowsFirst && h > outH && h-outH > 2*(w-outW) {
		return rows(columns(src, w), outH)
	}
	return columns(rows(src, h), outW)
}

func cut(src []byte, w int, r Rect) []byte {
	var out []byte
	for y := r.Y0; y < r.Y1; y++ {
		out = append(out, src[3*(y*w+r.X0):3*(y*w+r.X1)]...)
	}
	return out
}

// image returns 3*w*h random bytes; hard ones are 0 or 255 only, so that
// sums overshoot at both ends.
func testImage(rng *rand.Rand, w, h int, hard bool) []byte {
	b := make([]byte, 3*w*h)
	for i := range b {
		b[i] = byte(rng.UintN(256))
		if hard {
			b[i] = byte(int8(b[i]) >> 7)
		}
	}
	return b
}

// compare holds both implementations to the naive one, for the whole image
// and for the part r of it.
func compare(t *testing.T, src []byte, w, h, outW, outH int, r Rect, rowsFirst bool) {
	t.Helper()
	for _, f := range []Filter{Cubic, Linear} {
		want := naive(f, src, w, h, outW, outH, rowsFirst)
		for name, p := range map[string]implementation{"pure": pure, "chosen": passes} {
			if got := scale(src, w, h, outW, outH, Rect{0, 0, outW, outH}, f, rowsFirst, p); !bytes.Equal(got, want) {
				t.Errorf("%s, filter %d: %dx%d to %dx%d, rows first %t: got other bytes than the definition",
					name, f, w, h, outW, outH, rowsFirst)
			}
			if got := scale(src, w, h, outW, outH, r, f, rowsFirst, p); !bytes.Equal(got, cut(want, outW, r)) {
				t.Errorf("%s, filter %d: %dx%d to %dx%d, part %v, rows first %t: got other bytes than the definition",
					name, f, w, h, outW, outH, r, rowsFirst)
			}
		}
	}
}

func TestPassesEqualDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	sizes := [][4]int{
		{1, 1, 1, 1}, {1, 1, 5, 7}, {5, 5, 5, 5}, {5, 9, 5, 3}, {9, 5, 3, 5}, {1, 200, 1, 3}, {200, 1, 3, 1},
		{1000, 2, 3, 2}, {2, 1000, 2, 3}, {2, 1000, 3, 3}, {640, 427, 224, 149}, {31, 64, 32, 32},
	}
	for range 200 {
		sizes = append(sizes, [4]int{1 + rng.IntN(60), 1 + rng.IntN(60), 1 + rng.IntN(60), 1 + rng.IntN(60)})
	}
	for i, s := range sizes {
		x, y := rng.IntN(s[2]), rng.IntN(s[3])
		r := Rect{x, y, x + 1 + rng.IntN(s[2]-x), y + 1 + rng.IntN(s[3]-y)}
		compare(t, testImage(rng, s[0], s[1], i%2 == 0), s[0], s[1], s[2], s[3], r, i%3 == 0)
	}
}

// TestNearest: shrunk by a whole number, the pixel in the middle stands for its square; enlarged, each is a square.
func TestNearest(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	src := testImage(rng, 15, 9, false)
	third := Nearest(src, 15, 9, 5, 3, Rect{0, 0, 5, 3})
	for y := range 3 {
		for x := range 5 {
			if got, want := third[3*(5*y+x):][:3], src[3*(15*(3*y+1)+3*x+1):][:3]; !bytes.Equal(got, want) {
				t.Errorf("pixel %d, %d: got %v, want %v", x, y, got, want)
			}
		}
	}
	large := Nearest(src, 15, 9, 45, 27, Rect{0, 0, 45, 27})
	if back := Nearest(large, 45, 27, 15, 9, Rect{0, 0, 15, 9}); !bytes.Equal(back, src) {
		t.Error("enlarged and shrunk by three: got other bytes than before")
	}
	r := Rect{3, 1, 8, 5}
	whole := Nearest(src, 15, 9, 11, 7, Rect{0, 0, 11, 7})
	if got, want := Nearest(src, 15, 9, 11, 7, r), cut(whole, 11, r); !bytes.Equal(got, want) {
		t.Error("a part: got other bytes than cut from the whole")
	}
}

// TestScale16 gives it images whose high bytes are 0: then each pass rounds as Scale does, but for values half-way, and
// the order counts alike.
func TestScale16(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	for _, s := range [][4]int{
		{15, 9, 15, 9}, {40, 30, 17, 12}, {20, 90, 20, 30}, {20, 90, 15, 30}, {9, 9, 30, 21}, {31, 64, 31, 20},
	} {
		grey, rgb := make([]byte, 2*s[0]*s[1]), make([]byte, 3*s[0]*s[1])
		for i := range len(rgb) / 3 {
			v := byte(64 + rng.UintN(128)) // no overshoot, which 16 bits do not cut
			grey[2*i+1], rgb[3*i], rgb[3*i+1], rgb[3*i+2] = v, v, v, v
		}
		r := Rect{s[2] / 4, s[3] / 3, s[2], s[3]}
		for _, rowsFirst := range []bool{true, false} {
			got := Scale16(grey, s[0], s[1], s[2], s[3], r, Cubic, rowsFirst)
			want := Scale(rgb, s[0], s[1], s[2], s[3], r, Cubic, rowsFirst)
			if len(got)/2 != len(want)/3 {
				t.Fatalf("%v: got %d pixels, want %d", s, len(got)/2, len(want)/3)
			}
			off := 0
			for i := range len(got) / 2 {
				if got[2*i] != 0 || got[2*i+1] != want[3*i] {
					off++
				}
			}
			if off > len(got)/200 {
				t.Errorf("%v, rows first %t: %d of %d pixels differ from those of 8 bits", s, rowsFirst, off, len(got)/2)
			}
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	src := testImage(rng, 50, 70, false)
	r := Rect{1, 2, 20, 30}
	want := Scale(src, 50, 70, 21, 31, r, Cubic, false)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if got := Scale(src, 50, 70, 21, 31, r, Cubic, false); !bytes.Equal(got, want) {
					t.Error("got other bytes than alone")
					return
				}
			}
		})
	}
	wg.Wait()
}

// TestWeights checks what every set of weights must have: they sum to one, and
// they stay within the input.
func TestWeights(t *testing.T) {
	for _, c := range [][2]int{{1, 1}, {1, 9}, {9, 1}, {640, 224}, {224, 640}, {7, 6}, {65000, 3}} {
		a := newAxis(Cubic, c[0], c[1], 0, c[1])
		for i := range c[1] {
			sum := 0
			for _, w := range a.weight[i*a.stride : (i+1)*a.stride] {
				sum += int(w)
			}
			if off := math.Abs(float64(sum) - 1<<precision); off > float64(a.count[i]) {
				t.Errorf("%v: output %d: weights sum to %d, want %d", c, i, sum, 1<<precision)
			}
			if a.first[i] < 0 || int(a.first[i]+a.count[i]) > c[0] || int(a.count[i]) > a.stride {
				t.Errorf("%v: output %d: takes %d inputs from %d on, of %d", c, i, a.count[i], a.first[i], c[0])
			}
		}
	}
}

func FuzzPasses(f *testing.F) {
	f.Add(uint8(5), uint8(4), uint8(3), uint8(2), uint8(0), uint8(0), uint8(2), uint8(1), false, []byte{0, 255, 9})
	f.Add(uint8(40), uint8(90), uint8(20), uint8(5), uint8(3), uint8(1), uint8(9), uint8(9), true, []byte{255, 0, 255, 1})
	f.Fuzz(func(t *testing.T, w, h, outW, outH, x, y, cw, ch uint8, rowsFirst bool, seed []byte) {
		if w == 0 || h == 0 || outW == 0 || outH == 0 || len(seed) == 0 {
			return
		}
		src := make([]byte, 3*int(w)*int(h))
		for i := range src {
			src[i] = seed[i%len(seed)] ^ byte(i/len(seed))
		}
		r := Rect{X0: int(x % outW), Y0: int(y % outH)}
		r.X1 = r.X0 + 1 + int(cw)%(int(outW)-r.X0)
		r.Y1 = r.Y0 + 1 + int(ch)%(int(outH)-r.Y0)
		compare(t, src, int(w), int(h), int(outW), int(outH), r, rowsFirst)
	})
}
