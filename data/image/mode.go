package image

import (
	"bytes"
	"encoding/binary"
	"image"
	"math"

	"captioner/data/image/jpeg"
	"captioner/data/image/resample"
	"captioner/data/image/tiff"
)

// mode is how a file holds its image, as far as scaling minds.
type mode int

const (
	modeRGB     mode = iota // RGB, or grey of 8 bits: RGB.Pix is all that there is
	modeNearest             // a palette, or one bit: Pillow's P and 1
	modeAlpha               // Pillow's RGBA and LA; a sample is the alpha
	modeCMYK                // a sample is what package jpeg gives, four bytes
	modeGrey16              // Pillow's I;16; a sample is two bytes, high and low
	modeInt                 // Pillow's I; a sample is four bytes, little-endian
	modeFloat               // Pillow's F; a sample is four bytes, little-endian
	modeYCbCr               // a sample is three bytes
)

// sample is how many bytes a pixel has beside its RGB.
func (m mode) sample() int {
	return [...]int{modeAlpha: 1, modeCMYK: 4, modeGrey16: 2, modeInt: 4, modeFloat: 4, modeYCbCr: 3}[m]
}

// native is an image in the mode of its file, beside its RGB.
type native struct {
	mode mode
	// samples makes those of all pixels, when a model asks: most never do. It is nil where the mode has none. The result
	// is not to be changed.
	samples func() []uint8
}

// moved is n when pixels change their places by move, which takes samples of n bytes.
func (n native) moved(move func(samples []uint8, n int) []uint8) native {
	if n.samples == nil {
		return n
	}
	return native{n.mode, func() []uint8 { return move(n.samples(), n.mode.sample()) }}
}

// alphaOf is m with its alpha; what the types of the readers do not have is opaque.
func alphaOf(m image.Image) native {
	return native{modeAlpha, func() []uint8 {
		w, h := m.Bounds().Dx(), m.Bounds().Dy()
		switch m := m.(type) {
		case *image.NRGBA:
			return every(m.Pix[3:], w, h, m.Stride, 4, 1)
		case *image.RGBA:
			return every(m.Pix[3:], w, h, m.Stride, 4, 1)
		case *image.NRGBA64:
			return every(m.Pix[6:], w, h, m.Stride, 8, 1)
		case *image.RGBA64:
			return every(m.Pix[6:], w, h, m.Stride, 8, 1)
		case *image.NYCbCrA:
			return every(m.A, w, h, m.AStride, 1, 1)
		}
		return bytes.Repeat([]byte{255}, w*h)
	}}
}

// grey16Of is m, grey of 16 bits; with a transparent color the readers make colors of it.
func grey16Of(m image.Image) native {
	return native{modeGrey16, func() []uint8 {
		w, h := m.Bounds().Dx(), m.Bounds().Dy()
		if m, ok := m.(*image.NRGBA64); ok {
			return every(m.Pix, w, h, m.Stride, 8, 2)
		}
		g := m.(*image.Gray16)
		return every(g.Pix, w, h, g.Stride, 2, 2)
	}}
}

// every takes the first n of the step bytes that each pixel has.
func every(pix []uint8, w, h, stride, step, n int) []uint8 {
	out := make([]uint8, 0, w*h*n)
	for y := range h {
		for x := range w {
			at := y*stride + x*step
			out = append(out, pix[at:at+n]...)
		}
	}
	return out
}

// resizeNative scales src in its own mode to w x h pixels, and makes RGB of the part r of them.
func resizeNative(src *RGB, w, h int, r resample.Rect, f resample.Filter, rowsFirst bool) *RGB {
	out := &RGB{W: r.X1 - r.X0, H: r.Y1 - r.Y0}
	scale := func(pix []uint8) []uint8 { return resample.Scale(pix, src.W, src.H, w, h, r, f, rowsFirst) }
	switch src.native.mode {
	case modeNearest:
		out.Pix = resample.Nearest(src.Pix, src.W, src.H, w, h, r)
	case modeGrey16:
		out.Pix = fromGrey16(resample.Scale16(src.native.samples(), src.W, src.H, w, h, r, f, rowsFirst))
	case modeInt:
		ints := words(src.native.samples(), func(v uint32) int32 { return int32(v) })
		ints = resample.ScaleInt(ints, src.W, src.H, w, h, r, f, rowsFirst)
		out.Pix = threefold(cutAll(ints, tiff.CutInt))
	case modeFloat:
		floats := words(src.native.samples(), math.Float32frombits)
		floats = resample.ScaleFloat(floats, src.W, src.H, w, h, r, f, rowsFirst)
		out.Pix = threefold(cutAll(floats, tiff.CutFloat))
	case modeYCbCr:
		pix := scale(src.native.samples())
		tiff.YCbCrToRGB(pix, pix)
		out.Pix = pix
	case modeCMYK:
		out.Pix = scaleCMYK(src.native.samples(), scale)
	case modeAlpha:
		if w == src.W && h == src.H { // Pillow leaves it alone
			out.Pix = scale(src.Pix)
			break
		}
		out.Pix = scaleAlpha(src.Pix, src.native.samples(), scale)
	}
	return out
}

// scaleAlpha scales colors multiplied by their alpha, so that a pixel counts as far as it is opaque, and divides by the
// scaled alpha.
func scaleAlpha(pix, alpha []uint8, scale func([]uint8) []uint8) []uint8 {
	multiplied := make([]uint8, len(pix))
	for i, v := range pix {
		t := uint32(v)*uint32(alpha[i/3]) + 128
		multiplied[i] = uint8((t>>8 + t) >> 8) // /255, rounded
	}
	out := scale(multiplied)
	unmultiply(out, scale(threefold(alpha)), 3)
	return out
}

// scaleCMYK scales inks as Pillow holds them: 0 is none, where the file says 255.
func scaleCMYK(samples []uint8, scale func([]uint8) []uint8) []uint8 {
	n := len(samples) / 4
	colors, black := make([]uint8, 0, 3*n), make([]uint8, 0, n)
	for i := range n {
		p := samples[4*i : 4*i+4]
		colors, black = append(colors, 255-p[0], 255-p[1], 255-p[2]), append(black, 255-p[3])
	}
	colors, black = scale(colors), scale(threefold(black))
	pixels := make([]uint8, 0, len(colors)/3*4)
	for i := 0; i < len(colors); i += 3 {
		pixels = append(pixels, 255-colors[i], 255-colors[i+1], 255-colors[i+2], 255-black[i])
	}
	jpeg.FromCMYK(colors, pixels)
	return colors
}

// words reads numbers of four bytes, little-endian.
func words[T int32 | float32](samples []uint8, number func(uint32) T) []T {
	out := make([]T, len(samples)/4)
	for i := range out {
		out[i] = number(binary.LittleEndian.Uint32(samples[4*i:]))
	}
	return out
}

// cutAll makes 8 bits of each value.
func cutAll[T any](values []T, cut func(T) byte) []uint8 {
	out := make([]uint8, len(values))
	for i, v := range values {
		out[i] = cut(v)
	}
	return out
}

// threefold is one channel as a grey RGB image.
func threefold(channel []uint8) []uint8 {
	out := make([]uint8, 0, 3*len(channel))
	for _, v := range channel {
		out = append(out, v, v, v)
	}
	return out
}

// fromGrey16 cuts what is above 255, as Pillow's convert does: most images become white.
func fromGrey16(samples []uint8) []uint8 {
	out := make([]uint8, 0, len(samples)/2*3)
	for i := 0; i < len(samples); i += 2 {
		v := samples[i+1]
		if samples[i] != 0 {
			v = 255
		}
		out = append(out, v, v, v)
	}
	return out
}
