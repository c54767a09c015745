package resample

import (
	"encoding/binary"
	"math"
)

// Scale16 is Scale of a grey image of 16 bits, two bytes a pixel, the high one
// first, in what Pillow does to its mode I;16: sums of floating point, rounded
// and cut to 16 bits after each pass.
func Scale16(src []byte, w, h, outW, outH int, r Rect, f Filter, rowsFirst bool) []byte {
	pix := make([]uint16, w*h)
	for i := range pix {
		pix[i] = binary.BigEndian.Uint16(src[2*i:])
	}
	round := func(sum float64) uint16 { return uint16(max(0, min(sum+0.5, 1<<16-1))) }
	dst := make([]byte, 0, 2*(r.X1-r.X0)*(r.Y1-r.Y0))
	for _, v := range scaleOne(pix, w, h, outW, outH, r, f, rowsFirst, round) {
		dst = binary.BigEndian.AppendUint16(dst, v)
	}
	return dst
}

// ScaleInt is Scale of a grey image of 32 bits in what Pillow does to its mode I:
// sums of floating point, rounded after each pass.
func ScaleInt(src []int32, w, h, outW, outH int, r Rect, f Filter, rowsFirst bool) []int32 {
	round := func(sum float64) int32 {
		return int32(math.Copysign(math.Floor(math.Abs(sum)+0.5), sum))
	}
	return scaleOne(src, w, h, outW, outH, r, f, rowsFirst, round)
}

// ScaleFloat is Scale of a grey image of floats in what Pillow does to its mode F.
func ScaleFloat(src []float32, w, h, outW, outH int, r Rect, f Filter, rowsFirst bool) []float32 {
	round := func(sum float64) float32 { return float32(sum) }
	return scaleOne(src, w, h, outW, outH, r, f, rowsFirst, round)
}

// number is a sample of an image with one channel.
type number interface{ uint16 | int32 | float32 }

// scaleOne scales one channel in two passes; round makes a sample of a sum.
func scaleOne[T number](
	pix []T, w, h, outW, outH int, r Rect, f Filter, rowsFirst bool, round func(float64) T,
) []T {
	cw, ch := r.X1-r.X0, r.Y1-r.Y0
	across, down := f.over(w, outW), f.over(h, outH)
	if !rowsFirst && h > outH && h-outH > 2*(w-outW) {
		pix = pass(down, pix, r.Y0, r.Y1, line{w, 1}, line{w, 1}, w, round)
		return pass(across, pix, r.X0, r.X1, line{1, w}, line{1, cw}, ch, round)
	}
	pix = pass(across, pix, r.X0, r.X1, line{1, w}, line{1, cw}, h, round)
	return pass(down, pix, r.Y0, r.Y1, line{cw, 1}, line{cw, 1}, cw, round)
}

// line says how far it is from a pixel to the next on its line, and from a line to the next.
type line struct{ step, apart int }

// pass scales n lines to their outputs lo..hi.
func pass[T number](k stretched, src []T, lo, hi int, from, to line, n int, round func(float64) T) []T {
	dst := make([]T, (hi-lo)*n)
	w := make([]float64, k.most())
	for i := lo; i < hi; i++ {
		first, count := k.weigh(w, i)
		for l := range n {
			sum, at := 0.0, l*from.apart+first*from.step
			for _, v := range w[:count] {
				sum += float64(float64(src[at]) * v)
				at += from.step
			}
			dst[l*to.apart+(i-lo)*to.step] = round(sum)
		}
	}
	return dst
}
