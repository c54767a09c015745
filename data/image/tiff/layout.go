package tiff

import "fmt"

// The values of tags that matter here (TIFF 6.0).
const (
	minIsWhite, minIsBlack, rgb, palette, separated, ycbcr, cieLab = 0, 1, 2, 3, 5, 6, 8

	unsigned, signed, floating = 1, 2, 3

	associated, unassociated, corel = 1, 2, 999 // alpha; 999 is what Corel Draw writes for it
)

// header is what the first directory says of an image.
type header struct {
	w, h        int
	photometric int
	bits        int // of a sample
	samples     int // of a pixel
	format      int // of a sample: unsigned, signed or floating
	extra       []int
	planar      bool // each sample in a plane of its own
	packed      bool // only libtiff takes the samples apart
	palette     [3 * 256]byte
}

// rowBytes is how long a decoded row of w pixels is, in one plane.
func (h header) rowBytes(w int) int {
	n := w * h.bits
	if !h.planar {
		n *= h.samples
	}
	return (n + 7) / 8
}

// layout is how the samples of a row become pixels.
type layout struct {
	mode    Mode
	planes  int // how many of the stored planes matter: the first ones
	convert func(row samples, m *Image, at int)
	header  header
}

// unpack makes w pixels of one row of samples, from pixel (x, y) of m on: rows holds a row of each plane, or one with
// all.
func (l layout) unpack(m *Image, x, y, w int, rows [][]byte) {
	s := samples{rows: rows, bits: l.header.bits, step: l.header.samples, n: w}
	if l.header.planar {
		s.step = 1
	}
	l.convert(s, m, y*m.W+x)
}

// layout finds the one that h describes, among those that Pillow knows.
func (h header) layout() (layout, error) {
	l := layout{planes: 1, header: h}
	switch {
	case h.w <= 0 || h.h <= 0:
		return l, &Error{ErrCorrupt, fmt.Sprintf("%d x %d pixels", h.w, h.h)}
	case h.packed:
		return l, nil
	case h.samples > 6:
		return l, h.unsupported()
	}
	switch h.photometric {
	case minIsWhite, minIsBlack:
		l.grey(h)
	case rgb:
		l.color(h)
	case palette:
		l.indexed(h)
	case separated:
		if h.samples >= 4 && h.format == unsigned && (h.bits == 8 || h.bits == 16) {
			l.mode, l.planes, l.convert = CMYK, 4, fromCMYK
		}
	case cieLab:
		if h.bits == 8 && h.format == unsigned && h.samples == 3 {
			l.planes, l.convert = 3, fromLab
		}
	case ycbcr:
		switch {
		case h.bits != 8 || h.format != unsigned:
		case h.samples == 1:
			l.convert = fromGrey(8, false)
		case h.samples == 3:
			l.mode, l.planes, l.convert = YCbCr, 3, fromYCbCr
		}
	}
	if l.convert == nil {
		return l, h.unsupported()
	}
	return l, nil
}

func (l *layout) grey(h header) {
	invert := h.photometric == minIsWhite
	one := h.samples == 1
	switch {
	case h.samples == 2 && h.bits == 8 && h.format == unsigned && !invert:
		l.greyAlpha(h)
	case one && h.format == unsigned && h.bits == 1:
		l.mode, l.convert = Nearest, fromGrey(1, invert)
	case one && h.format == unsigned && (h.bits == 2 || h.bits == 4 || h.bits == 8):
		l.convert = fromGrey(h.bits, invert)
	case one && h.format == signed && h.bits == 8:
		l.convert = fromGrey(8, false)
	case one && h.format == unsigned && (h.bits == 12 || h.bits == 16): // Pillow does not invert it
		l.mode, l.convert = Grey16, fromGrey16
	case one && h.format == signed && h.bits == 16:
		l.mode, l.convert = Int32, fromInt
	case one && (h.format == unsigned || h.format == signed) && h.bits == 32:
		l.mode, l.convert = Int32, fromInt
	case one && h.format == floating && h.bits == 32:
		l.mode, l.convert = Float32, fromFloat
	}
}

func (l *layout) greyAlpha(h header) {
	switch h.alpha() {
	case associated:
		l.mode, l.planes, l.convert = Alpha, 2, fromGreyAlpha(true)
	case unassociated:
		l.mode, l.planes, l.convert = Alpha, 2, fromGreyAlpha(false)
	default:
		l.convert = fromGrey(8, false)
	}
}

func (l *layout) color(h header) {
	if h.format != unsigned || h.samples < 3 || h.bits != 8 && h.bits != 16 {
		return
	}
	switch alpha := h.alpha(); {
	case h.samples > 3 && alpha == associated:
		l.mode, l.planes, l.convert = Alpha, 4, fromRGBA(true)
	case h.samples > 3 && (alpha == unassociated || alpha == corel):
		l.mode, l.planes, l.convert = Alpha, 4, fromRGBA(false)
	case h.samples == 4 && len(h.extra) == 0: // the tag that says what it is has been forgotten
		l.mode, l.planes, l.convert = Alpha, 4, fromRGBA(false)
	default:
		l.planes, l.convert = 3, fromRGB
	}
}

func (l *layout) indexed(h header) {
	wide := h.bits == 8 && h.samples <= 2
	narrow := (h.bits == 1 || h.bits == 2 || h.bits == 4) && h.samples == 1
	if h.format == unsigned && (wide || narrow) {
		l.mode, l.convert = Nearest, fromPalette(h.palette)
	}
}

// alpha says what the first sample beyond the colors is.
func (h header) alpha() int {
	if len(h.extra) == 0 {
		return 0
	}
	return h.extra[0]
}

func (h header) unsupported() error {
	name, ok := map[int]string{minIsWhite: "grey", minIsBlack: "grey", rgb: "RGB", palette: "palette", 4: "mask",
		separated: "CMYK", ycbcr: "YCbCr", cieLab: "CIE L*a*b*", 9: "ICC L*a*b*", 10: "ITU L*a*b*",
		32803: "color filter array", 32844: "CIE log L", 32845: "CIE log L u v", 34892: "linear raw"}[h.photometric]
	if !ok {
		name = fmt.Sprintf("photometric interpretation %d", h.photometric)
	}
	kind := map[int]string{signed: " signed", floating: " floating-point"}[h.format]
	return &Error{ErrUnsupported, fmt.Sprintf("%s with %d%s samples of %d bits a pixel", name, h.samples, kind, h.bits)}
}
