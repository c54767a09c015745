package resample

// Nearest is Scale by Pillow's NEAREST: each pixel of the result is one of src.
func Nearest(src []byte, w, h, outW, outH int, r Rect) []byte {
	xs := nearest(w, outW, r.X0, r.X1)
	dst := make([]byte, 0, 3*(r.X1-r.X0)*(r.Y1-r.Y0))
	for _, y := range nearest(h, outH, r.Y0, r.Y1) {
		row := src[3*w*y:][:3*w]
		for _, x := range xs {
			dst = append(dst, row[3*x], row[3*x+1], row[3*x+2])
		}
	}
	return dst
}

// nearest gives the inputs of outputs lo..hi of an axis scaled from in to out
// positions. Each is a step from the one before, whose rounding adds up as in
// Pillow.
func nearest(in, out, lo, hi int) []int {
	step := float64(in) / float64(out)
	at := step / 2
	var found []int
	for i := range hi {
		if i >= lo {
			found = append(found, min(int(at), in-1))
		}
		at += step
	}
	return found
}
