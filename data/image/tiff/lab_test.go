package tiff

import "testing"

// Colors of CIE L*a*b* are those that Pillow 13 gives with convert("RGB"), but for the rounding of Little CMS's tables.
func TestLab(t *testing.T) {
	for _, tt := range []struct{ lab, want [3]byte }{
		{[3]byte{0, 0, 0}, [3]byte{1, 0, 1}},
		{[3]byte{255, 0, 0}, [3]byte{254, 255, 254}},
		{[3]byte{128, 0, 0}, [3]byte{119, 119, 119}},
		{[3]byte{128, 40, 216}, [3]byte{159, 93, 189}},
		{[3]byte{200, 220, 60}, [3]byte{150, 211, 70}},
		{[3]byte{60, 30, 30}, [3]byte{100, 33, 10}},
		{[3]byte{90, 250, 200}, [3]byte{0, 89, 174}},
		{[3]byte{220, 5, 120}, [3]byte{251, 210, 0}},
		{[3]byte{150, 128, 127}, [3]byte{0, 180, 0}},
		{[3]byte{30, 0, 10}, [3]byte{35, 31, 16}},
	} {
		m := &Image{W: 1, H: 1, Pix: make([]byte, 3)}
		fromLab(samples{rows: [][]byte{tt.lab[:]}, bits: 8, step: 3, n: 1}, m, 0)
		for i, v := range m.Pix {
			if d := int(v) - int(tt.want[i]); d < -4 || d > 4 {
				t.Errorf("%v: got %v, want %v", tt.lab, m.Pix, tt.want)
				break
			}
		}
	}
}
