package image

import (
	"encoding/binary"
	"image"

	"golang.org/x/image/bmp"
)

func isBMP(b []byte) bool { return prefix("BM")(b) || isDIB(b) }

// isDIB reports whether b is a BMP without its first 14 bytes, as Windows keeps it in memory and some files are.
func isDIB(b []byte) bool {
	if len(b) < 16 || binary.LittleEndian.Uint16(b[12:]) != 1 { // planes
		return false
	}
	size := binary.LittleEndian.Uint32(b)
	return size == 40 || size == 108 || size == 124
}

// withBMPHeader gives a DIB the bytes that it lacks.
func withBMPHeader(b []byte) []byte {
	if !isDIB(b) {
		return b
	}
	const header = 14
	size := binary.LittleEndian.Uint32(b)
	pixels := header + uint64(size) + 4*uint64(dibColors(b, size))
	out := append(make([]byte, 0, header+len(b)), "BM"...)
	out = binary.LittleEndian.AppendUint32(out, uint32(header+len(b)))
	out = binary.LittleEndian.AppendUint32(out, 0)
	out = binary.LittleEndian.AppendUint32(out, uint32(pixels))
	return append(out, b...)
}

// dibColors is how many colors, of four bytes, stand between the header and the pixels.
func dibColors(b []byte, size uint32) uint32 {
	const bitFields = 3
	bits := binary.LittleEndian.Uint16(b[14:])
	switch {
	case len(b) < 40:
		return 0
	case size == 40 && binary.LittleEndian.Uint32(b[16:]) == bitFields:
		return 3 // masks
	case bits <= 8 && binary.LittleEndian.Uint32(b[32:]) == 0:
		return 1 << bits
	}
	return binary.LittleEndian.Uint32(b[32:])
}

func bmpConfig(b []byte) (int, int, error) { return size(bmp.DecodeConfig(reader(withBMPHeader(b)))) }

func decodeBMP(b []byte, _ Options) (*RGB, error) {
	b = withBMPHeader(b)
	m, err := bmp.Decode(reader(b))
	if err != nil {
		return nil, err
	}
	out := fromImage(m)
	out.native = bmpNative(b, m)
	return out, nil
}

// bmpNative is how the file b holds m, by Pillow's rules: a palette that counts up in grey is none, and a fourth byte
// is alpha only where the header has a mask for it.
func bmpNative(b []byte, m image.Image) native {
	const bitFields = 3
	switch m := m.(type) {
	case *image.Paletted:
		if len(m.Palette) <= 2 || !greyRamp(m.Palette) {
			return native{mode: modeNearest}
		}
	case *image.NRGBA:
		if binary.LittleEndian.Uint32(b[30:]) == bitFields {
			return alphaOf(m)
		}
	}
	return native{}
}
