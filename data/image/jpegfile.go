package image

import (
	"bytes"
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
		m.native = native{modeCMYK, func() []uint8 { return inks }}
	}
	return m, nil
}

func jpegReason(err error) error {
	if errors.Is(err, jpeg.ErrTruncated) {
		return refuse("JPEG", ErrTruncated, "%v", err)
	}
	if unsupported, ok := errors.AsType[*jpeg.UnsupportedError](err); ok {
		return refuse("JPEG", ErrUnsupported, "%v", unsupported)
	}
	return err
}

// jpegOrientation finds the orientation in the EXIF segment, or else in the XMP segment, among those before the first
// scan.
func jpegOrientation(b []byte) int {
	var exif, xmp []byte
	jpegSegments(b, func(marker byte, payload []byte) {
		const app1 = 0xe1
		if rest, ok := bytes.CutPrefix(payload, []byte(exifStart)); ok && marker == app1 && exif == nil {
			exif = rest
		}
		if rest, ok := bytes.CutPrefix(payload, []byte("http://ns.adobe.com/xap/1.0/\x00")); ok && marker == app1 {
			xmp = rest
		}
	})
	return orientationOf(exif, xmp)
}

// jpegSegments calls yield for each segment before the first scan.
func jpegSegments(b []byte, yield func(marker byte, payload []byte)) {
	for i := 2; i+4 <= len(b); {
		if b[i] != 0xff {
			return
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
			return
		}
		n := int(b[i+2])<<8 | int(b[i+3])
		if n < 2 || n > len(b)-i-2 {
			return
		}
		yield(marker, b[i+4:i+2+n])
		i += 2 + n
	}
}
