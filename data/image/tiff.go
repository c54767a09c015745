package image

import (
	"image"

	"golang.org/x/image/tiff"
)

func tiffConfig(b []byte) (int, int, error) { return size(tiff.DecodeConfig(reader(b))) }

func decodeTIFF(b []byte, _ Options) (*RGB, error) {
	m, err := tiff.Decode(reader(b))
	if err != nil {
		return nil, err
	}
	out := fromImage(m)
	out.own = tiffOwn(b, m)
	return out, nil
}

// tiffOwn is how the file b holds m.
func tiffOwn(b []byte, m image.Image) own {
	const bitsPerSample, samplesPerPixel = 0x0102, 0x0115
	switch m.(type) {
	case *image.Paletted:
		return own{mode: modeNearest}
	case *image.Gray:
		if tiffShort(b, bitsPerSample, 1) == 1 {
			return own{mode: modeNearest}
		}
	case *image.Gray16:
		return grey16Of(m)
	default:
		if tiffShort(b, samplesPerPixel, 1) == 4 {
			return alphaOf(m)
		}
	}
	return own{}
}
