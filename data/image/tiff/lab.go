package tiff

import "math"

// fromLab takes CIE L*a*b* of the white D50, a and b with a sign, to sRGB. Pillow asks Little CMS for it, which rounds
// inside its tables: nine of ten values are its own, and nearly all others differ by one.
func fromLab(s samples, m *Image, at int) {
	for i := range s.n {
		l := float64(s.high(i, 0)) * 100 / 255
		r, g, b := labToRGB(l, float64(int8(s.high(i, 1))), float64(int8(s.high(i, 2))))
		m.set(at+i, r, g, b)
	}
}

// labToRGB goes by XYZ relative to D50 (CIE 15) and Bradford's adaptation to the white of sRGB, D65.
func labToRGB(l, a, b float64) (byte, byte, byte) {
	fy := (l + 16) / 116
	x, y, z := 0.9642*cubed(fy+a/500), cubed(fy), 0.8249*cubed(fy-b/200)
	return companded(3.1338561*x - 1.6168667*y - 0.4906146*z),
		companded(-0.9787684*x + 1.9161415*y + 0.0334540*z),
		companded(0.0719453*x - 0.2289914*y + 1.4052427*z)
}

// cubed undoes the root of L*a*b*, which is straight near black.
func cubed(t float64) float64 {
	if t > 24./116 {
		return t * t * t
	}
	return 108. / 841 * (t - 16./116)
}

// companded is a linear share of light as sRGB stores it (IEC 61966-2-1).
func companded(v float64) byte {
	v = max(0, min(v, 1))
	if v <= 0.0031308 {
		v *= 12.92
	} else {
		v = 1.055*math.Pow(v, 1/2.4) - 0.055
	}
	return byte(v*255 + 0.5)
}
