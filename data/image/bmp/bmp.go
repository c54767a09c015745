// Package bmp reads Windows and OS/2 bitmaps: every header from 12 to 124 bytes, 1 to 32 bits a pixel, palettes, bit
// fields, and run lengths of 4 and 8 bits. It refuses what only printers take: JPEG, PNG and fax data in a bitmap.
//
// The format is that of Microsoft's "Bitmap Storage" and of the OS/2 Presentation Manager.
package bmp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
)

// ErrCorrupt says that a file contradicts itself. One that ends early gives io.ErrUnexpectedEOF instead.
var ErrCorrupt = errors.New("corrupt bitmap")

// UnsupportedError says what of the format is not read.
type UnsupportedError string

func (e UnsupportedError) Error() string { return string(e) }

// Image is a bitmap of W x H pixels, rows from the top.
type Image struct {
	W, H int
	Pix  []uint8 // RGB, 3*W*H bytes
	// Alpha is a byte a pixel. It is nil but for pixels of 32 bits with a mask for it.
	Alpha []uint8
	// Indexed says that Pix comes from a palette, or has one bit a pixel. A palette that counts up in grey is none.
	Indexed bool
}

// Is reports whether b begins as a bitmap: with "BM", or without the first 14 bytes of the file, as Windows keeps it in
// memory.
func Is(b []byte) bool { return len(b) >= 2 && string(b[:2]) == "BM" || isBare(b) }

func isBare(b []byte) bool {
	if len(b) < 16 || binary.LittleEndian.Uint16(b[12:]) != 1 { // planes
		return false
	}
	size := binary.LittleEndian.Uint32(b)
	return size == infoSize || size == 108 || size == 124
}

// Size reads the header.
func Size(b []byte) (w, h int, err error) {
	d, err := readHeader(b)
	return d.w, d.h, err
}

// Decode reads the image. The memory that it takes for pixels is 4*W*H bytes; whoever limits it asks Size first.
func Decode(b []byte) (*Image, error) {
	d, err := readHeader(b)
	if err != nil {
		return nil, err
	}
	switch d.compression {
	case rle8, rle4:
		return d.decodeRuns(b)
	}
	return d.decodeRows(b)
}

// The sizes of headers that say what follows them.
const (
	fileSize = 14 // of the header of the file, before that of the bitmap
	coreSize = 12 // OS/2 1: sizes of 16 bits, colors of three bytes
	infoSize = 40 // Windows 3
	os22Size = 64 // OS/2 2, with compressions of its own
)

// The compressions.
const (
	raw         = 0
	rle8        = 1
	rle4        = 2
	fields      = 3
	fieldsAlpha = 6 // fields with one for alpha, of Windows CE
)

// header is what the two headers and the palette say.
type header struct {
	w, h        int
	topDown     bool
	bits        int
	compression uint32
	masks       [4]uint32 // red, green, blue, alpha; of 16 and 32 bits
	palette     [][3]uint8
	at          int64 // where the pixels begin
}

func readHeader(b []byte) (d header, err error) {
	little := binary.LittleEndian
	start, pixels := 0, int64(0) // of the header of the bitmap, and what the file says of the pixels
	if !isBare(b) {
		if len(b) < fileSize+4 {
			return d, io.ErrUnexpectedEOF
		}
		start, pixels = fileSize, int64(little.Uint32(b[10:]))
	}
	size := int64(little.Uint32(b[start:]))
	switch size {
	case coreSize, infoSize, 52, 56, os22Size, 108, 124:
	default:
		return d, UnsupportedError(fmt.Sprintf("a header of %d bytes", size))
	}
	info := b[start:]
	if int64(len(info)) < size {
		return d, io.ErrUnexpectedEOF
	}
	colors, after := uint32(0), int64(start)+size
	if size == coreSize {
		d.w, d.h = int(little.Uint16(info[4:])), int(little.Uint16(info[6:]))
		d.bits = int(little.Uint16(info[10:]))
	} else {
		d.w, d.h = int(int32(little.Uint32(info[4:]))), int(int32(little.Uint32(info[8:])))
		d.bits, d.compression = int(little.Uint16(info[14:])), little.Uint32(info[16:])
		colors = little.Uint32(info[32:])
	}
	if d.h < 0 {
		d.h, d.topDown = -d.h, true
	}
	if err := d.check(size); err != nil {
		return d, err
	}
	after += int64(d.findMasks(info, size))
	return d, d.findPixels(b, after, pixels, colors, size)
}

// check refuses what is not read.
func (d header) check(size int64) error {
	allowed := map[uint32][]int{raw: {1, 2, 4, 8, 16, 24, 32}, rle8: {8}, rle4: {4}}
	if size != os22Size { // where they are others
		allowed[fields], allowed[fieldsAlpha] = []int{16, 24, 32}, []int{16, 24, 32}
	}
	depths, known := allowed[d.compression]
	if !known {
		return UnsupportedError(fmt.Sprintf("compression %d", d.compression))
	}
	for _, n := range depths {
		if n == d.bits {
			return nil
		}
	}
	return UnsupportedError(fmt.Sprintf("%d bits a pixel with compression %d", d.bits, d.compression))
}

// findMasks finds where in a pixel the colors are, and returns how many bytes of that follow the header of size bytes.
func (d *header) findMasks(info []byte, size int64) (follow int) {
	d.masks = [4]uint32{0xff0000, 0xff00, 0xff, 0}
	if d.bits == 16 {
		d.masks = [4]uint32{0x7c00, 0x3e0, 0x1f, 0}
	}
	n := 0
	switch {
	case d.compression == fieldsAlpha || d.compression == fields && size >= 56:
		n = 4
	case d.compression == fields:
		n = 3
	}
	if n == 0 || len(info) < infoSize+4*n {
		return 0
	}
	found := [4]uint32{}
	for i := range n {
		found[i] = binary.LittleEndian.Uint32(info[infoSize+4*i:])
	}
	if found == [4]uint32{} && d.bits == 32 { // which some programs write for BGRA
		found = [4]uint32{0xff0000, 0xff00, 0xff, 0xff000000}
	}
	if d.bits != 24 {
		d.masks = found
	}
	return max(0, infoSize+4*n-int(size))
}

// findPixels reads the palette, which begins at the byte after of b, and finds the pixels.
func (d *header) findPixels(b []byte, after, pixels int64, colors uint32, size int64) error {
	d.at = max(pixels, after)
	if d.bits > 8 {
		if pixels == 0 {
			d.at += 4 * int64(colors) // a palette for screens of fewer colors
		}
		return nil
	}
	most := uint32(1) << d.bits
	if colors == 0 {
		colors = most
	}
	step := int64(4)
	if size == coreSize {
		step = 3
	}
	if pixels <= after { // the file does not say, or forgets the palette
		d.at = after + step*int64(colors)
	}
	d.palette = make([][3]uint8, most)
	for i := range int64(min(colors, most)) {
		at := after + step*i
		if at+step > int64(len(b)) {
			return io.ErrUnexpectedEOF
		}
		d.palette[i] = [3]uint8{b[at+2], b[at+1], b[at]}
	}
	if colors < most {
		d.palette = d.palette[:max(colors, 2)]
	}
	return nil
}

// indexed says whether the palette is one by Pillow's rule.
func (d header) indexed() bool {
	if d.bits > 8 {
		return false
	}
	for i, c := range d.palette {
		if v := uint8(i); c != [3]uint8{v, v, v} {
			return true
		}
	}
	return len(d.palette) <= 2
}

func (d header) image() *Image {
	m := &Image{W: d.w, H: d.h, Pix: make([]uint8, 3*d.w*d.h), Indexed: d.indexed()}
	if d.bits == 32 && d.masks[3] != 0 {
		m.Alpha = make([]uint8, d.w*d.h)
	}
	return m
}

// row is where in an image the stored row y belongs.
func (d header) row(y int) int {
	if d.topDown {
		return y
	}
	return d.h - 1 - y
}

// decodeRows reads pixels that are stored as they are; rows take a multiple of four bytes.
func (d header) decodeRows(b []byte) (*Image, error) {
	if d.w <= 0 || d.h <= 0 {
		return nil, fmt.Errorf("%w: %d x %d pixels", ErrCorrupt, d.w, d.h)
	}
	stride := (int64(d.w)*int64(d.bits) + 31) / 32 * 4
	used := (int64(d.w)*int64(d.bits) + 7) / 8 // of the last row, which some programs do not fill up
	if there := int64(len(b)) - d.at; there < used || (there-used)/stride < int64(d.h-1) {
		return nil, io.ErrUnexpectedEOF
	}
	m := d.image()
	for y := range d.h {
		from := d.at + int64(y)*stride
		d.decodeRow(m, d.row(y), b[from:from+used])
	}
	return m, nil
}

// decodeRow reads the row y of the image.
func (d header) decodeRow(m *Image, y int, row []byte) {
	pix := m.Pix[3*d.w*y:][:3*d.w]
	switch {
	case d.bits == 24:
		for i := 0; i < len(pix); i += 3 {
			pix[i], pix[i+1], pix[i+2] = row[i+2], row[i+1], row[i]
		}
	case d.bits > 8:
		d.decodeFields(m, y, row)
	default:
		perByte, mask := 8/d.bits, byte(1)<<d.bits-1
		for x := range d.w {
			shift := 8 - d.bits*(x%perByte+1)
			d.set(pix[3*x:], row[x/perByte]>>shift&mask)
		}
	}
}

// set writes a color of the palette; one that it lacks is black.
func (d header) set(pix []uint8, index byte) {
	var color [3]uint8
	if int(index) < len(d.palette) {
		color = d.palette[index]
	}
	copy(pix, color[:])
}

// decodeFields reads a row of pixels of 16 or 32 bits.
func (d header) decodeFields(m *Image, y int, row []byte) {
	channels := [4]field{}
	for i, mask := range d.masks {
		channels[i] = fieldOf(mask)
	}
	for x := range d.w {
		var v uint32
		if d.bits == 16 {
			v = uint32(binary.LittleEndian.Uint16(row[2*x:]))
		} else {
			v = binary.LittleEndian.Uint32(row[4*x:])
		}
		at := d.w*y + x
		for i := range 3 {
			m.Pix[3*at+i] = channels[i].value(v)
		}
		if m.Alpha != nil {
			m.Alpha[at] = channels[3].value(v)
		}
	}
}

// field is the place of a color in a pixel.
type field struct {
	mask  uint32
	shift int
	most  uint64 // its largest value
}

func fieldOf(mask uint32) field {
	shift := bits.TrailingZeros32(mask)
	return field{mask, shift, uint64(mask) >> shift}
}

// value is the color of a pixel, 0 to 255. A color without a place is 0.
func (f field) value(pixel uint32) uint8 {
	if f.most == 0 {
		return 0
	}
	return uint8(uint64(pixel&f.mask) >> f.shift * 255 / f.most)
}
