package tiff

import "encoding/binary"

// directory is the first directory of a TIFF structure, classic or BigTIFF.
type directory struct {
	order   binary.ByteOrder
	big     bool
	entries []byte // as far as the data goes
	missing bool   // the data ends before the entries do
}

// entry is how many bytes a tag takes, and where in them its value stands.
func (d directory) entry() (size, value int) {
	if d.big {
		return 20, 12
	}
	return 12, 8
}

// readDirectory finds the first directory; false where b does not start as a TIFF structure.
func readDirectory(b []byte) (d directory, ok bool) {
	d.missing = true
	if len(b) < 4 {
		return d, false
	}
	switch string(b[:4]) {
	case "II*\x00", "II+\x00":
		d.order = binary.LittleEndian
	case "MM\x00*", "MM\x00+":
		d.order = binary.BigEndian
	default:
		return d, false
	}
	if d.big = d.order.Uint16(b[2:]) == 43; d.big {
		d.findBig(b)
	} else {
		d.find(b)
	}
	return d, true
}

func (d *directory) find(b []byte) {
	if len(b) < 8 {
		return
	}
	at := int64(d.order.Uint32(b[4:]))
	if at < 8 || at > int64(len(b))-2 {
		return
	}
	d.take(b[at+2:], uint64(d.order.Uint16(b[at:])))
}

func (d *directory) findBig(b []byte) {
	if len(b) < 16 {
		return
	}
	at := d.order.Uint64(b[8:])
	if at < 16 || len(b) < 24 || at > uint64(len(b)-8) {
		return
	}
	d.take(b[at+8:], d.order.Uint64(b[at:]))
}

// take keeps n entries of b, or as many as there are.
func (d *directory) take(b []byte, n uint64) {
	size, _ := d.entry()
	there := uint64(len(b) / size)
	d.missing = n > there
	d.entries = b[:int(min(n, there))*size]
}

// tag gives the entry of a tag.
func (d directory) tag(number uint16) (entry []byte, ok bool) {
	size, _ := d.entry()
	for e := d.entries; len(e) > 0; e = e[size:] {
		if d.order.Uint16(e) == number {
			return e[:size], true
		}
	}
	return nil, false
}

// The types of whole numbers that Integer reads.
const (
	typeShort       = 3
	typeLong        = 4
	typeSignedByte  = 6
	typeSignedShort = 8
	typeSignedLong  = 9
)

// Integer reads the first number of a tag from the first directory of a TIFF structure, classic or BigTIFF. Writers
// disagree on its type: any of whole numbers will do, but plain bytes, which are no number to Pillow. It returns
// missing where the tag is not there, is of another type, or has so many values that they stand elsewhere.
func Integer(b []byte, tag uint16, missing int) int {
	d, ok := readDirectory(b)
	if !ok {
		return missing
	}
	e, ok := d.tag(tag)
	if !ok {
		return missing
	}
	kind := d.order.Uint16(e[2:])
	width := map[uint16]uint64{typeShort: 2, typeLong: 4, typeSignedByte: 1, typeSignedShort: 2, typeSignedLong: 4}[kind]
	count := uint64(d.order.Uint32(e[4:]))
	if d.big {
		count = d.order.Uint64(e[4:])
	}
	_, at := d.entry()
	value := e[at:]
	if width == 0 || count == 0 || count > uint64(len(value))/width {
		return missing
	}
	switch kind {
	case typeShort:
		return int(d.order.Uint16(value))
	case typeSignedShort:
		return int(int16(d.order.Uint16(value)))
	case typeSignedByte:
		return int(int8(value[0]))
	}
	return int(int32(d.order.Uint32(value)))
}
