package resample

import "sync"

// Rect is the part x0 <= x < x1, y0 <= y < y1 of an image.
type Rect struct{ X0, Y0, X1, Y1 int }

// scratch holds the images between the two passes.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

// Scale scales the packed RGB image src of w x h pixels to outW x outH and
// returns the part r of the result, packed. Only what r needs is computed, and
// it is the same as cutting r from the whole. All sizes are positive and r lies
// within the result. It may be called from several goroutines.
//
// Pillow before 13 scales rows first. Later ones scale columns first where the
// height shrinks by more than twice what the width does, which rounds a few
// values differently; rowsFirst asks for the old order.
func Scale(src []byte, w, h, outW, outH int, r Rect, f Filter, rowsFirst bool) []byte {
	return scale(src, w, h, outW, outH, r, f, rowsFirst, passes)
}

// implementation is one way to compute the two passes.
type implementation struct {
	// rows scales each row of src (srcLen bytes a row) to len(a.first) pixels.
	rows func(dst, src []byte, srcLen int, a *axis)
	// columns sums rows of rowLen bytes; a counts from the first row of src.
	columns func(dst, src []byte, rowLen int, a *axis)
}

func scale(src []byte, w, h, outW, outH int, r Rect, f Filter, rowsFirst bool, p implementation) []byte {
	cw, ch := r.X1-r.X0, r.Y1-r.Y0
	// An axis that keeps its size has weights of 1 and changes nothing, so a
	// pass over it only cuts.
	horizontal, vertical := w != outW || cw != w, h != outH || ch != h
	across, down := newAxis(f, w, outW, r.X0, r.X1), newAxis(f, h, outH, r.Y0, r.Y1)
	dst := make([]byte, 3*cw*ch)
	switch {
	case !horizontal && !vertical:
		copy(dst, src)
	case !vertical:
		p.rows(dst, src, 3*w, &across)
	case !horizontal:
		p.columns(dst, src, 3*w, &down)
	case !rowsFirst && h > outH && h-outH > 2*(w-outW):
		mid := scratch.Get().(*[]byte)
		defer scratch.Put(mid)
		rows := grow(mid, 3*w*ch)
		p.columns(rows, src, 3*w, &down)
		p.rows(dst, rows, 3*w, &across)
	default:
		// The first pass scales only the rows that the second reads.
		y0 := down.first[0]
		y1 := down.first[ch-1] + down.count[ch-1]
		for i := range down.first {
			down.first[i] -= y0
		}
		mid := scratch.Get().(*[]byte)
		defer scratch.Put(mid)
		rows := grow(mid, 3*cw*int(y1-y0))
		p.rows(rows, src[3*w*int(y0):3*w*int(y1)], 3*w, &across)
		p.columns(dst, rows, 3*cw, &down)
	}
	return dst
}

func grow(b *[]byte, n int) []byte {
	if cap(*b) < n {
		*b = make([]byte, n)
	}
	return (*b)[:n]
}
