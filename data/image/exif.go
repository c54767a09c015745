package image

import (
	"regexp"

	"captioner/data/image/tiff"
)

// exifStart is what comes before the TIFF structure of an EXIF block in most formats.
const exifStart = "Exif\x00\x00"

// exifOrientation reads the orientation, 1 to 8, from a TIFF structure: an EXIF
// block without its "Exif\0\0" start, or a TIFF file. Anything that is missing,
// no whole number or out of range is 1, "as it is": a damaged note must not
// keep a good image out. It reads only the first directory, as writers agree
// that the orientation of the image itself stands there.
func exifOrientation(b []byte) int { return orientationOf(b, nil) }

// orientationOf reads the orientation of an EXIF block or, only where that has none, of an XMP packet, as Pillow does.
func orientationOf(exif, xmp []byte) int {
	v := tiff.Integer(exif, 0x0112, -1)
	if found := xmpOrientation.FindSubmatch(xmp); v == -1 && found != nil {
		v = int(found[1][0] - '0')
	}
	if v >= 1 && v <= 8 {
		return v
	}
	return 1
}

// xmpOrientation finds the property, as an attribute or as an element.
var xmpOrientation = regexp.MustCompile(`tiff:Orientation(?:="|>)([0-9])`)

// orient returns m turned by an EXIF orientation; 1 returns m itself. The names
// of the cases say where the stored first row and first column belong.
func orient(m *RGB, orientation int) *RGB {
	if orientation < 2 || orientation > 8 {
		return m
	}
	w, h := m.W, m.H
	if orientation >= 5 {
		w, h = m.H, m.W
	}
	// The stored pixel (x, y) goes to origin + x*dx + y*dy, in pixels of the result.
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
	turn := func(src []uint8, n int) []uint8 {
		out := make([]uint8, len(src))
		for y := range m.H {
			at := origin + y*dy
			for range m.W {
				if n == 3 { // nearly always, and quicker than a call for three bytes
					to := out[3*at:][:3]
					to[0], to[1], to[2] = src[0], src[1], src[2]
				} else {
					copy(out[n*at:][:n], src)
				}
				src, at = src[n:], at+dx
			}
		}
		return out
	}
	return &RGB{turn(m.Pix, 3), w, h, m.native.moved(turn)}
}
