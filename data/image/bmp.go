package image

import "golang.org/x/image/bmp"

func bmpConfig(b []byte) (int, int, error) { return size(bmp.DecodeConfig(reader(b))) }

func decodeBMP(b []byte, _ Options) (*RGB, error) {
	m, err := bmp.Decode(reader(b))
	if err != nil {
		return nil, err
	}
	return fromImage(m), nil
}
