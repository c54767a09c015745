package resample

// pure is the implementation in Go.
var pure = implementation{rows: pureRows, columns: pureColumns}

const half = 1 << (precision - 1)

func pureRows(dst, src []byte, srcLen int, a *axis) {
	for y := 0; len(dst) > 0; y++ {
		row := src[y*srcLen : (y+1)*srcLen]
		for i, first := range a.first {
			n := int(a.count[i])
			w := a.weight[i*a.stride:][:n]
			p := row[3*first:][:3*n]
			// Red and green share one 64-bit multiplication: red in the low
			// half, green 32 bits above. Their sums fit an int32 each, so the
			// halves can be told apart at the end, whatever carried over.
			rg, b := int64(half|half<<32), int32(half)
			for len(p) >= 6 && len(w) >= 2 {
				w0, w1 := w[0], w[1]
				rg += (int64(p[0]) | int64(p[1])<<32) * int64(w0)
				b += int32(p[2]) * w0
				rg += (int64(p[3]) | int64(p[4])<<32) * int64(w1)
				b += int32(p[5]) * w1
				p, w = p[6:], w[2:]
			}
			if len(p) >= 3 && len(w) >= 1 {
				rg += (int64(p[0]) | int64(p[1])<<32) * int64(w[0])
				b += int32(p[2]) * w[0]
			}
			r := int32(rg)
			g := int32((rg - int64(r)) >> 32)
			dst[3*i+2] = clip(b)
			dst[3*i+1] = clip(g)
			dst[3*i] = clip(r)
		}
		dst = dst[3*len(a.first):]
	}
}

func pureColumns(dst, src []byte, rowLen int, a *axis) {
	sums := make([]int64, (rowLen+1)/2)
	for i, first := range a.first {
		for x := range sums {
			sums[x] = half | half<<32
		}
		for j, w := range a.weight[i*a.stride:][:a.count[i]] {
			addRow(sums, src[(int(first)+j)*rowLen:][:rowLen], int64(w))
		}
		out := dst[i*rowLen:][:rowLen]
		for x, s := range sums {
			lo := int32(s)
			out[2*x] = clip(lo)
			if 2*x+1 < len(out) {
				out[2*x+1] = clip(int32((s - int64(lo)) >> 32))
			}
		}
	}
}

// addRow adds w times row to sums, two bytes of the row to a sum.
func addRow(sums []int64, row []byte, w int64) {
	for len(row) >= 8 && len(sums) >= 4 {
		s, p := sums[:4:4], row[:8:8]
		s[0] += (int64(p[0]) | int64(p[1])<<32) * w
		s[1] += (int64(p[2]) | int64(p[3])<<32) * w
		s[2] += (int64(p[4]) | int64(p[5])<<32) * w
		s[3] += (int64(p[6]) | int64(p[7])<<32) * w
		sums, row = sums[4:], row[8:]
	}
	for len(row) >= 2 && len(sums) >= 1 {
		sums[0] += (int64(row[0]) | int64(row[1])<<32) * w
		sums, row = sums[1:], row[2:]
	}
	if len(row) == 1 && len(sums) >= 1 {
		sums[0] += int64(row[0]) * w
	}
}

// clip drops the fraction of a sum and cuts it to 8 bits.
func clip(sum int32) uint8 {
	v := sum >> precision
	if uint32(v) > 255 {
		v = ^(v >> 31) & 255
	}
	return uint8(v)
}
