package image

import (
	"image"
	"image/color"
)

// fromImage makes packed RGB of a decoded image: alpha is dropped straight
// and samples of 16 bits keep their high byte.
func fromImage(m image.Image) *RGB {
	r := m.Bounds()
	out := New(r.Dx(), r.Dy())
	if p, ok := m.(*image.Paletted); ok {
		paletted(out, p)
		return out
	}
	dst := out.Pix
	for y := r.Min.Y; y < r.Max.Y; y++ {
		convertRow(dst[:3*out.W], m, r, y)
		dst = dst[3*out.W:]
	}
	return out
}

func paletted(out *RGB, m *image.Paletted) {
	var table [256][3]uint8
	for i, c := range m.Palette {
		n := color.NRGBAModel.Convert(c).(color.NRGBA)
		table[uint8(i)] = [3]uint8{n.R, n.G, n.B}
	}
	for y := range out.H {
		for x, i := range m.Pix[y*m.Stride:][:out.W] {
			copy(out.Pix[3*(y*out.W+x):], table[i][:])
		}
	}
}

// convertRow converts row y of m, whose bounds are r.
func convertRow(dst []byte, m image.Image, r image.Rectangle, y int) {
	w := r.Dx()
	switch m := m.(type) {
	case *image.Gray:
		for x, v := range m.Pix[(y-r.Min.Y)*m.Stride:][:w] {
			dst[3*x], dst[3*x+1], dst[3*x+2] = v, v, v
		}
	case *image.Gray16:
		for x := range w {
			v := m.Pix[(y-r.Min.Y)*m.Stride+2*x]
			dst[3*x], dst[3*x+1], dst[3*x+2] = v, v, v
		}
	case *image.NRGBA:
		pick(dst, m.Pix[(y-r.Min.Y)*m.Stride:], 4, 1)
	case *image.NRGBA64:
		pick(dst, m.Pix[(y-r.Min.Y)*m.Stride:], 8, 2)
	case *image.RGBA:
		pick(dst, m.Pix[(y-r.Min.Y)*m.Stride:], 4, 1)
		unmultiply(dst, m.Pix[(y-r.Min.Y)*m.Stride+3:], 4)
	case *image.RGBA64:
		pick(dst, m.Pix[(y-r.Min.Y)*m.Stride:], 8, 2)
		unmultiply(dst, m.Pix[(y-r.Min.Y)*m.Stride+6:], 8)
	default:
		for x := range w {
			n := color.NRGBAModel.Convert(m.At(r.Min.X+x, y)).(color.NRGBA)
			dst[3*x], dst[3*x+1], dst[3*x+2] = n.R, n.G, n.B
		}
	}
}

// pick copies the high bytes of red, green and blue from pixels of stride
// bytes, step bytes a sample.
func pick(dst, src []byte, stride, step int) {
	for i := 0; len(dst) >= 3; i += stride {
		dst[0], dst[1], dst[2] = src[i], src[i+step], src[i+2*step]
		dst = dst[3:]
	}
}

// unmultiply undoes premultiplication by the alpha samples, cutting the result
// to 8 bits; a fully transparent pixel keeps what it has.
func unmultiply(dst, alpha []byte, stride int) {
	for i := 0; len(dst) >= 3; i += stride {
		if a := int(alpha[i]); a != 255 && a != 0 {
			for c := range 3 {
				dst[c] = uint8(min(int(dst[c])*255/a, 255))
			}
		}
		dst = dst[3:]
	}
}
