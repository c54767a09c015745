package image

import (
	"errors"
	"image"

	xtiff "golang.org/x/image/tiff"

	"captioner/data/image/tiff"
)

func tiffConfig(b []byte) (w, h int, err error) {
	if !tiff.Exact {
		return size(xtiff.DecodeConfig(reader(b)))
	}
	w, h, err = tiff.Config(b)
	return w, h, tiffReason(err)
}

func decodeTIFF(b []byte, o Options) (*RGB, error) {
	if !tiff.Exact {
		return decodePlainTIFF(b)
	}
	m, err := tiff.Decode(b)
	if err != nil {
		return nil, tiffReason(err)
	}
	return &RGB{m.Pix, m.W, m.H, tiffNative(m)}, nil
}

// tiffReason makes an *Error of what package tiff returned.
func tiffReason(err error) error {
	var e *tiff.Error
	if !errors.As(err, &e) {
		return err
	}
	reason := ErrCorrupt
	switch e.Reason {
	case tiff.ErrUnsupported:
		reason = ErrUnsupported
	case tiff.ErrTruncated:
		reason = ErrTruncated
	}
	return refuse("TIFF", reason, "%s", e.Detail)
}

// tiffNative is how the file holds m.
func tiffNative(m *tiff.Image) native {
	kind := map[tiff.Mode]mode{
		tiff.Nearest: modeNearest, tiff.Alpha: modeAlpha, tiff.CMYK: modeCMYK, tiff.Grey16: modeGrey16,
		tiff.Int32: modeInt, tiff.Float32: modeFloat, tiff.YCbCr: modeYCbCr,
	}[m.Mode]
	if kind.sample() == 0 {
		return native{mode: kind}
	}
	return native{kind, func() []uint8 { return m.Samples }}
}

// decodePlainTIFF decodes in builds without libtiff: uncompressed, LZW, deflate, PackBits and CCITT files of few kinds.
func decodePlainTIFF(b []byte) (*RGB, error) {
	m, err := xtiff.Decode(reader(b))
	if err != nil {
		return nil, err
	}
	out := fromImage(m)
	out.native = plainTIFFNative(b, m)
	return out, nil
}

// plainTIFFNative is how the file b holds m.
func plainTIFFNative(b []byte, m image.Image) native {
	const bitsPerSample, samplesPerPixel = 0x0102, 0x0115
	switch m.(type) {
	case *image.Paletted:
		return native{mode: modeNearest}
	case *image.Gray:
		if tiff.Integer(b, bitsPerSample, 1) == 1 {
			return native{mode: modeNearest}
		}
	case *image.Gray16:
		return grey16Of(m)
	default:
		if tiff.Integer(b, samplesPerPixel, 1) == 4 {
			return alphaOf(m)
		}
	}
	return native{}
}
