package image

import (
	"encoding/binary"
	"image"

	"golang.org/x/image/bmp"
)

func bmpConfig(b []byte) (int, int, error) { return size(bmp.DecodeConfig(reader(b))) }

func decodeBMP(b []byte, _ Options) (*RGB, error) {
	m, err := bmp.Decode(reader(b))
	if err != nil {
		return nil, err
	}
	out := fromImage(m)
	out.own = bmpOwn(b, m)
	return out, nil
}

// bmpOwn is how the file b holds m, by Pillow's rules: a palette that counts up in grey is none, and a fourth byte is
// alpha only where the header has a mask for it.
func bmpOwn(b []byte, m image.Image) own {
	const bitFields = 3
	switch m := m.(type) {
	case *image.Paletted:
		if len(m.Palette) <= 2 || !greyRamp(m.Palette) {
			return own{mode: modeNearest}
		}
	case *image.NRGBA:
		if binary.LittleEndian.Uint32(b[30:]) == bitFields {
			return alphaOf(m)
		}
	}
	return own{}
}
