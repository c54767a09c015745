package image

import "encoding/binary"

// exifOrientation reads the orientation, 1 to 8, from a TIFF structure: an EXIF
// block without its "Exif\0\0" start, or a TIFF file. Anything that is missing,
// of another type or out of range is 1, "as it is": a damaged note must not
// keep a good picture out. It reads only the first directory, as writers agree
// that the orientation of the picture itself stands there.
func exifOrientation(b []byte) int {
	const tag, short = 0x0112, 3
	var order binary.ByteOrder
	switch {
	case prefix("II*\x00")(b):
		order = binary.LittleEndian
	case prefix("MM\x00*")(b):
		order = binary.BigEndian
	default:
		return 1
	}
	if len(b) < 8 {
		return 1
	}
	at := int64(order.Uint32(b[4:]))
	if at < 8 || at+2 > int64(len(b)) {
		return 1
	}
	n := int(order.Uint16(b[at:]))
	entries := b[at+2:]
	for ; n > 0 && len(entries) >= 12; n, entries = n-1, entries[12:] {
		if order.Uint16(entries) != tag {
			continue
		}
		v := int(order.Uint16(entries[8:]))
		if order.Uint16(entries[2:]) != short || order.Uint32(entries[4:]) != 1 || v < 1 || v > 8 {
			return 1
		}
		return v
	}
	return 1
}

// orient returns m turned by an EXIF orientation; 1 returns m itself. The names
// of the cases say where the stored first row and first column belong.
func orient(m *RGB, orientation int) *RGB {
	if orientation < 2 || orientation > 8 {
		return m
	}
	out := New(m.W, m.H)
	if orientation >= 5 {
		out.W, out.H = m.H, m.W
	}
	// The stored pixel (x, y) goes to origin + x*dx + y*dy, in pixels of out.
	w, h := out.W, out.H
	var origin, dx, dy int
	switch orientation {
	case 2: // top, right
		origin, dx, dy = w-1, -1, w
	case 3: // bottom, right
		origin, dx, dy = w*h-1, -1, -w
	case 4: // bottom, left
		origin, dx, dy = w*(h-1), 1, -w
	case 5: // left, top
		origin, dx, dy = 0, w, 1
	case 6: // right, top
		origin, dx, dy = w-1, w, -1
	case 7: // right, bottom
		origin, dx, dy = w*h-1, -w, -1
	case 8: // left, bottom
		origin, dx, dy = w*(h-1), -w, 1
	}
	src := m.Pix
	for y := range m.H {
		at := origin + y*dy
		for range m.W {
			copy(out.Pix[3*at:3*at+3], src[:3])
			src, at = src[3:], at+dx
		}
	}
	return out
}
