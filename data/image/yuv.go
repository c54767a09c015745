package image

import "image"

// fromYUV converts a lossy WebP image as libwebp does: chroma is interpolated
// from its four nearest samples, and the values are of the narrow range of
// BT.601, which x/image takes for full range. (golang.org/issue/40173)
func fromYUV(m *image.YCbCr) *RGB {
	out := New(m.Rect.Dx(), m.Rect.Dy())
	cw := (out.W + 1) / 2
	last := (out.H+1)/2 - 1
	u, v := make([]uint8, out.W), make([]uint8, out.W)
	for y := range out.H {
		// Row y lies a quarter of a chroma row off row near, towards row far.
		near := y / 2
		far := max(0, min(near+y%2*2-1, last))
		spread(u, m.Cb[near*m.CStride:][:cw], m.Cb[far*m.CStride:][:cw])
		spread(v, m.Cr[near*m.CStride:][:cw], m.Cr[far*m.CStride:][:cw])
		row := out.Pix[3*y*out.W:][:3*out.W]
		for x, l := range m.Y[y*m.YStride:][:out.W] {
			row[3*x], row[3*x+1], row[3*x+2] = yuv(l, u[x], v[x])
		}
	}
	return out
}

// spread interpolates one row of chroma to full width. A sample weighs 9/16
// where it is nearest, its neighbours 3/16, 3/16 and 1/16, with libwebp's two
// steps of rounding.
func spread(dst, near, far []uint8) {
	edge := func(i int) uint8 { return uint8((3*int(near[i]) + int(far[i]) + 2) >> 2) }
	dst[0] = edge(0)
	for i := 1; i < len(near); i++ {
		n0, n1, f0, f1 := int(near[i-1]), int(near[i]), int(far[i-1]), int(far[i])
		sum := n0 + n1 + f0 + f1 + 8
		dst[2*i-1] = uint8((n0 + (sum+2*(n1+f0))>>3) >> 1)
		if 2*i < len(dst) {
			dst[2*i] = uint8((n1 + (sum+2*(n0+f1))>>3) >> 1)
		}
	}
	if len(dst)%2 == 0 {
		dst[len(dst)-1] = edge(len(near) - 1)
	}
}

// yuv is the conversion in 14-bit fixed point of which 6 bits are left for the
// last shift: 19077 is 255/219, 26149 is 255/219 * 1.596 and so on, times 2^14.
func yuv(y, u, v uint8) (r, g, b uint8) {
	l := int(y) * 19077 >> 8
	return clip6(l + int(v)*26149>>8 - 14234),
		clip6(l - int(u)*6419>>8 - int(v)*13320>>8 + 8708),
		clip6(l + int(u)*33050>>8 - 17685)
}

func clip6(v int) uint8 { return uint8(max(0, min(v>>6, 255))) }
