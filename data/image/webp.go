package image

import (
	"encoding/binary"

	"golang.org/x/image/webp"
)

func isWebP(b []byte) bool {
	return len(b) >= 12 && string(b[:4]) == "RIFF" && string(b[8:12]) == "WEBP"
}

func webpConfig(b []byte) (int, int, error) {
	webpChunks(b, func(string, []byte) bool { return true })
	return size(webp.DecodeConfig(reader(b)))
}

// webpChunks calls yield for each whole chunk of a WebP file.
func webpChunks(b []byte, yield func(kind string, data []byte) bool) {
	for b = b[12:]; len(b) >= 8; {
		kind, n := string(b[:4]), int64(binary.LittleEndian.Uint32(b[4:]))
		if n > int64(len(b)-8) || !yield(kind, b[8:8+n]) {
			return
		}
		b = b[min(8+n+n&1, int64(len(b))):]
	}
}

func webpOrientation(b []byte) int {
	found := 1
	webpChunks(b, func(kind string, data []byte) bool {
		if kind != "EXIF" {
			return true
		}
		if prefix("Exif\x00\x00")(data) { // some writers keep the start that JPEG needs
			data = data[6:]
		}
		found = exifOrientation(data)
		return false
	})
	return found
}

func decodeWebP(b []byte, _ Options) (*RGB, error) {
	m, err := webp.Decode(reader(b))
	if err != nil {
		return nil, err
	}
	return fromImage(m), nil
}
