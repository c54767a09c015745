package image

import "captioner/data/image/bmp"

func decodeBMP(b []byte, _ Options) (*RGB, error) {
	m, err := bmp.Decode(b)
	if err != nil {
		return nil, err
	}
	out := &RGB{Pix: m.Pix, W: m.W, H: m.H}
	switch {
	case m.Indexed:
		out.native = native{mode: modeNearest}
	case m.Alpha != nil:
		out.native = native{modeAlpha, func() []uint8 { return m.Alpha }}
	}
	return out, nil
}
