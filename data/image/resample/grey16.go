package resample

import "encoding/binary"

// Scale16 is Scale of a grey picture of 16 bits, two bytes a pixel, the high one
// first, in what Pillow does to its mode I;16: sums of floating point, rounded
// and cut to 16 bits after each pass.
func Scale16(src []byte, w, h, outW, outH int, r Rect, f Filter, rowsFirst bool) []byte {
	cw, ch := r.X1-r.X0, r.Y1-r.Y0
	pix := make([]uint16, w*h)
	for i := range pix {
		pix[i] = binary.BigEndian.Uint16(src[2*i:])
	}
	across, down := f.over(w, outW), f.over(h, outH)
	if !rowsFirst && h > outH && h-outH > 2*(w-outW) {
		pix = down.pass(pix, r.Y0, r.Y1, line{w, 1}, line{w, 1}, w)
		pix = across.pass(pix, r.X0, r.X1, line{1, w}, line{1, cw}, ch)
	} else {
		pix = across.pass(pix, r.X0, r.X1, line{1, w}, line{1, cw}, h)
		pix = down.pass(pix, r.Y0, r.Y1, line{cw, 1}, line{cw, 1}, cw)
	}
	dst := make([]byte, 0, 2*cw*ch)
	for _, v := range pix {
		dst = binary.BigEndian.AppendUint16(dst, v)
	}
	return dst
}

// line says how far it is from a pixel to the next on its line, and from a line to the next.
type line struct{ step, apart int }

// pass scales n lines to their outputs lo..hi.
func (k stretched) pass(src []uint16, lo, hi int, from, to line, n int) []uint16 {
	dst := make([]uint16, (hi-lo)*n)
	w := make([]float64, k.most())
	for i := lo; i < hi; i++ {
		first, count := k.weigh(w, i)
		for l := range n {
			sum, at := 0.0, l*from.apart+first*from.step
			for _, v := range w[:count] {
				sum += float64(float64(src[at]) * v)
				at += from.step
			}
			dst[l*to.apart+(i-lo)*to.step] = uint16(max(0, min(sum+0.5, 1<<16-1)))
		}
	}
	return dst
}
