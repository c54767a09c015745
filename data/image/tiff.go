package image

import "golang.org/x/image/tiff"

func tiffConfig(b []byte) (int, int, error) { return size(tiff.DecodeConfig(reader(b))) }

func decodeTIFF(b []byte, _ Options) (*RGB, error) {
	m, err := tiff.Decode(reader(b))
	if err != nil {
		return nil, err
	}
	return fromImage(m), nil
}
