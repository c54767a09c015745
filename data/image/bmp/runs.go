package bmp

import (
	"fmt"
	"io"
)

// decodeRuns reads run lengths: pairs of a count and a value of one pixel, or of two of four bits that take turns. A
// count of 0 begins an escape.
func (d header) decodeRuns(b []byte) (*Image, error) {
	if d.w <= 0 || d.h <= 0 {
		return nil, fmt.Errorf("%w: %d x %d pixels", ErrCorrupt, d.w, d.h)
	}
	if d.at > int64(len(b)) {
		return nil, io.ErrUnexpectedEOF
	}
	m := d.image()
	for at := 0; at < len(m.Pix); at += 3 { // what no run reaches is of the first color
		d.set(m.Pix[at:], 0)
	}
	if err := (&runs{header: d, image: m, rest: b[d.at:]}).read(); err != nil {
		return nil, err
	}
	return m, nil
}

// runs is the state of reading.
type runs struct {
	header
	image *Image
	rest  []byte
	x, y  int // of the next pixel, in rows as they are stored
}

// The escapes: the byte behind a count of 0. A larger one counts pixels that follow as they are.
const (
	endOfRow = iota
	endOfImage
	move
)

func (r *runs) read() error {
	for r.y < r.h {
		if len(r.rest) < 2 {
			return io.ErrUnexpectedEOF
		}
		count, value := int(r.rest[0]), r.rest[1]
		r.rest = r.rest[2:]
		switch {
		case count > 0:
			for i := range count {
				r.put(r.pixel(value, i))
			}
		case value == endOfRow:
			r.x, r.y = 0, r.y+1
		case value == endOfImage:
			return nil
		case value == move:
			if len(r.rest) < 2 {
				return io.ErrUnexpectedEOF
			}
			r.x, r.y = r.x+int(r.rest[0]), r.y+int(r.rest[1])
			r.rest = r.rest[2:]
		default:
			if err := r.copy(int(value)); err != nil {
				return err
			}
		}
		if r.y == r.h-1 && r.x >= r.w {
			return nil // whole, though no end is marked
		}
	}
	return nil
}

// pixel is the i-th pixel of a run of value.
func (r *runs) pixel(value byte, i int) byte {
	switch {
	case r.compression == rle8:
		return value
	case i%2 == 0:
		return value >> 4
	}
	return value & 15
}

// copy reads n pixels that stand as they are, in a multiple of two bytes.
func (r *runs) copy(n int) error {
	size := n
	if r.compression == rle4 {
		size = (n + 1) / 2
	}
	if len(r.rest) < size {
		return io.ErrUnexpectedEOF
	}
	for i := range n {
		at := i
		if r.compression == rle4 {
			at = i / 2
		}
		r.put(r.pixel(r.rest[at], i))
	}
	r.rest = r.rest[min(size+size%2, len(r.rest)):]
	return nil
}

// put writes a pixel. What goes beyond the end of a row is lost.
func (r *runs) put(index byte) {
	if r.x < r.w && r.y < r.h {
		r.set(r.image.Pix[3*(r.w*r.row(r.y)+r.x):], index)
	}
	r.x++
}
