package tiff

import (
	"encoding/binary"
	"math"

	"captioner/data/image/jpeg"
)

// samples is a row of n pixels as libtiff decodes it: in the machine's own byte order, the first bit the highest.
type samples struct {
	rows [][]byte // one with all samples of a pixel, or one a plane
	bits int      // of a sample
	step int      // samples of a pixel in a row
	n    int
}

// at gives the sample of pixel i in one band, of up to 16 bits.
func (s samples) at(i, band int) int {
	row := s.rows[0]
	if s.step == 1 && len(s.rows) > 1 {
		row, band = s.rows[band], 0
	}
	n := i*s.step + band
	switch s.bits {
	case 8:
		return int(row[n])
	case 16:
		return int(binary.NativeEndian.Uint16(row[2*n:]))
	case 12:
		at := n * 3 / 2
		if n%2 == 0 {
			return int(row[at])<<4 | int(row[at+1])>>4
		}
		return int(row[at]&15)<<8 | int(row[at+1])
	}
	bit := n * s.bits
	return int(row[bit/8]) >> (8 - s.bits - bit%8) & (1<<s.bits - 1)
}

// high gives the highest 8 bits of a sample of 8 or 16.
func (s samples) high(i, band int) byte { return byte(s.at(i, band) >> (s.bits - 8)) }

// word gives the sample of pixel i of a row with one band of 32 bits.
func (s samples) word(i int) uint32 { return binary.NativeEndian.Uint32(s.rows[0][4*i:]) }

// sampleBytes is how many bytes a pixel has beside its RGB.
func (m Mode) sampleBytes() int {
	return map[Mode]int{Alpha: 1, CMYK: 4, Grey16: 2, Int32: 4, Float32: 4, YCbCr: 3}[m]
}

func (m *Image) set(at int, r, g, b byte) { m.Pix[3*at], m.Pix[3*at+1], m.Pix[3*at+2] = r, g, b }

func fromGrey(bits int, invert bool) func(samples, *Image, int) {
	scale := map[int]int{1: 255, 2: 85, 4: 17, 8: 1}[bits]
	return func(s samples, m *Image, at int) {
		for i := range s.n {
			v := byte(s.at(i, 0) * scale)
			if invert {
				v = 255 - v
			}
			m.set(at+i, v, v, v)
		}
	}
}

// fromGrey16 keeps the high bits for RGB, where Pillow cuts what is above 255 and so makes most images white.
func fromGrey16(s samples, m *Image, at int) {
	for i := range s.n {
		v := s.at(i, 0)
		binary.BigEndian.PutUint16(m.Samples[2*(at+i):], uint16(v))
		high := byte(v >> (s.bits - 8))
		m.set(at+i, high, high, high)
	}
}

func fromInt(s samples, m *Image, at int) {
	for i := range s.n {
		v := int32(0)
		if s.bits == 16 {
			v = int32(int16(s.at(i, 0)))
		} else {
			v = int32(s.word(i))
		}
		binary.LittleEndian.PutUint32(m.Samples[4*(at+i):], uint32(v))
		grey := CutInt(v)
		m.set(at+i, grey, grey, grey)
	}
}

func fromFloat(s samples, m *Image, at int) {
	for i := range s.n {
		v := s.word(i)
		binary.LittleEndian.PutUint32(m.Samples[4*(at+i):], v)
		grey := CutFloat(math.Float32frombits(v))
		m.set(at+i, grey, grey, grey)
	}
}

// CutInt makes 8 bits of a number as Pillow does: what is outside is cut.
func CutInt(v int32) byte { return byte(max(0, min(v, 255))) }

// CutFloat makes 8 bits of a float as Pillow does: the fraction is dropped, what is outside is cut, and NaN is 0.
func CutFloat(v float32) byte {
	switch {
	case v >= 255:
		return 255
	case v > 0:
		return byte(v)
	}
	return 0
}

func fromGreyAlpha(multiplied bool) func(samples, *Image, int) {
	return func(s samples, m *Image, at int) {
		for i := range s.n {
			v, a := s.high(i, 0), s.high(i, 1)
			if multiplied {
				v = unmultiply(v, a)
			}
			m.Samples[at+i] = a
			m.set(at+i, v, v, v)
		}
	}
}

func fromRGB(s samples, m *Image, at int) {
	if s.bits == 8 && len(s.rows) == 1 { // nearly always
		to, row := m.Pix[3*at:3*(at+s.n)], s.rows[0]
		for ; len(to) >= 3; to, row = to[3:], row[s.step:] {
			copy(to[:3], row)
		}
		return
	}
	for i := range s.n {
		m.set(at+i, s.high(i, 0), s.high(i, 1), s.high(i, 2))
	}
}

func fromRGBA(multiplied bool) func(samples, *Image, int) {
	return func(s samples, m *Image, at int) {
		for i := range s.n {
			r, g, b, a := s.high(i, 0), s.high(i, 1), s.high(i, 2), s.high(i, 3)
			if multiplied {
				r, g, b = unmultiply(r, a), unmultiply(g, a), unmultiply(b, a)
			}
			m.Samples[at+i] = a
			m.set(at+i, r, g, b)
		}
	}
}

// unmultiply divides a sample by its alpha; where that is 0, so is the sample.
func unmultiply(v, alpha byte) byte {
	if alpha == 0 {
		return 0
	}
	return byte(min(255*int(v)/int(alpha), 255))
}

func fromPalette(colors [3 * 256]byte) func(samples, *Image, int) {
	return func(s samples, m *Image, at int) {
		for i := range s.n {
			c := colors[3*s.at(i, 0):]
			m.set(at+i, c[0], c[1], c[2])
		}
	}
}

// fromCMYK takes the samples inverted, as JPEG files hold them.
func fromCMYK(s samples, m *Image, at int) {
	for i := range s.n {
		p := m.Samples[4*(at+i):][:4]
		for band := range 4 {
			p[band] = 255 - s.high(i, band)
		}
	}
	jpeg.FromCMYK(m.Pix[3*at:3*(at+s.n)], m.Samples[4*at:])
}

func fromYCbCr(s samples, m *Image, at int) {
	for i := range 3 * s.n {
		m.Samples[3*at+i] = s.high(i/3, i%3)
	}
	YCbCrToRGB(m.Pix[3*at:3*(at+s.n)], m.Samples[3*at:])
}

// YCbCrToRGB converts pixels of three bytes by ITU-R BT.601 in full range, with Pillow's six bits of fraction.
func YCbCrToRGB(dst, src []byte) {
	for ; len(dst) >= 3 && len(src) >= 3; dst, src = dst[3:], src[3:] {
		y, cb, cr := int(src[0]), float64(src[1])-128, float64(src[2])-128
		dst[0] = cut(y + part(cr, 1.402)>>6)
		dst[1] = cut(y + (part(cb, -0.34414)+part(cr, -0.71414))>>6)
		dst[2] = cut(y + part(cb, 1.772)>>6)
	}
}

// part is the share of a color difference in a color, in 64ths, rounded as Pillow's tables are.
func part(v, share float64) int { return int(v*share*64 + 0.5) }

func cut(v int) byte { return byte(max(0, min(v, 255))) }
