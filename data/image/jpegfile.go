package image

import (
	"errors"

	"captioner/data/image/jpeg"
)

func jpegConfig(b []byte) (w, h int, err error) {
	w, h, _, err = jpeg.Config(b)
	return w, h, jpegReason(err)
}

func decodeJPEG(b []byte, o Options) (*RGB, error) {
	w, h, _, err := jpeg.Config(b)
	if err != nil {
		return nil, jpegReason(err)
	}
	m := New(w, h)
	inks, err := jpeg.Decode(m.Pix, b, o.AllowTruncated)
	if err != nil {
		return nil, jpegReason(err)
	}
	if inks != nil {
		m.own = own{modeCMYK, func() []uint8 { return inks }}
	}
	return m, nil
}

func jpegReason(err error) error {
	if errors.Is(err, jpeg.ErrTruncated) {
		return refuse("JPEG", ErrTruncated, "%v", err)
	}
	return err
}

// jpegOrientation finds the orientation in the EXIF segment, which stands
// among the segments before the first scan.
func jpegOrientation(b []byte) int {
	for i := 2; i+4 <= len(b); {
		if b[i] != 0xff {
			return 1
		}
		marker := b[i+1]
		switch {
		case marker == 0xff: // fill byte
			i++
			continue
		case marker == 0x01 || marker >= 0xd0 && marker <= 0xd8: // no payload
			i += 2
			continue
		case marker == 0xd9 || marker == 0xda: // end, start of scan
			return 1
		}
		n := int(b[i+2])<<8 | int(b[i+3])
		if n < 2 || n > len(b)-i-2 {
			return 1
		}
		payload := b[i+4 : i+2+n]
		if marker == 0xe1 && prefix("Exif\x00\x00")(payload) {
			return exifOrientation(payload[6:])
		}
		i += 2 + n
	}
	return 1
}
