package resample

import "sync"

// Rect is the part x0 <= x < x1, y0 <= y < y1 of a picture.
type Rect struct{ X0, Y0, X1, Y1 int }

// scratch holds the pictures between the two passes.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

// Bicubic scales the packed RGB picture src of w x h pixels to outW x outH and
// returns the part r of the result, packed. Only what r needs is computed, and
// it is the same as cutting r from the whole. All sizes are positive and r lies
// within the result. It may be called from several goroutines.
func Bicubic(src []byte, w, h, outW, outH int, r Rect) []byte {
	return bicubic(src, w, h, outW, outH, r, passes)
}

// implementation is one way to compute the two passes.
type implementation struct {
	// rows scales each row of src (srcLen bytes a row) to len(a.first) pixels.
	rows func(dst, src []byte, srcLen int, a *axis)
	// columns sums rows of rowLen bytes; a counts from the first row of src.
	columns func(dst, src []byte, rowLen int, a *axis)
}

func bicubic(src []byte, w, h, outW, outH int, r Rect, p implementation) []byte {
	cw, ch := r.X1-r.X0, r.Y1-r.Y0
	dst := make([]byte, 3*cw*ch)
	if w == outW && h == outH {
		for y := range ch {
			copy(dst[3*cw*y:3*cw*(y+1)], src[3*((r.Y0+y)*w+r.X0):])
		}
		return dst
	}
	v := newAxis(h, outH, r.Y0, r.Y1)
	// The first pass scales only the rows that the second reads.
	y0 := int(v.first[0])
	y1 := int(v.first[ch-1] + v.count[ch-1])
	for i := range v.first {
		v.first[i] -= int32(y0)
	}
	mid := src[3*w*y0 : 3*w*y1]
	if w != outW || cw != w {
		// An axis that keeps its size has weights of 1, which change nothing.
		a := newAxis(w, outW, r.X0, r.X1)
		if h == outH {
			p.rows(dst, mid, 3*w, &a)
			return dst
		}
		buf := scratch.Get().(*[]byte)
		defer scratch.Put(buf)
		if n := 3 * cw * (y1 - y0); cap(*buf) < n {
			*buf = make([]byte, n)
		}
		mid = (*buf)[:3*cw*(y1-y0)]
		p.rows(mid, src[3*w*y0:3*w*y1], 3*w, &a)
	}
	p.columns(dst, mid, 3*cw, &v)
	return dst
}
