package image

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
)

// exifBlock is a directory with one entry.
func exifBlock(order binary.AppendByteOrder, tag, kind uint16, count uint32, value uint16) []byte {
	b := []byte("II*\x00")
	if order == binary.AppendByteOrder(binary.BigEndian) {
		b = []byte("MM\x00*")
	}
	b = order.AppendUint32(b, 8)
	b = order.AppendUint16(b, 1)
	b = order.AppendUint16(order.AppendUint16(b, tag), kind)
	b = order.AppendUint32(b, count)
	return order.AppendUint32(order.AppendUint16(order.AppendUint16(b, value), 0), 0)
}

func TestEXIFOrientation(t *testing.T) {
	little, big := binary.LittleEndian, binary.BigEndian
	loop := exifBlock(little, 0x0112, 3, 1, 6)
	loop[4] = 4 // the directory stands within the header
	far := exifBlock(little, 0x0112, 3, 1, 6)
	little.PutUint32(far[4:], 0xfffffff0)
	many := exifBlock(little, 0x0100, 3, 1, 6)
	many[8], many[9] = 0xff, 0xff
	none := exifBlock(little, 0x0112, 3, 1, 6)
	none[8] = 0 // entries
	for _, c := range []struct {
		name string
		b    []byte
		want int
	}{
		{"no entries", none, 1},
		{"little endian", exifBlock(little, 0x0112, 3, 1, 6), 6},
		{"big endian", exifBlock(big, 0x0112, 3, 1, 8), 8},
		{"zero", exifBlock(little, 0x0112, 3, 1, 0), 1},
		{"nine", exifBlock(little, 0x0112, 3, 1, 9), 1},
		{"text", exifBlock(little, 0x0112, 2, 1, 6), 1},
		{"a byte", exifBlock(little, 0x0112, 1, 1, 6), 1},
		{"long", exifBlock(little, 0x0112, 4, 1, 6), 6},
		{"signed byte", exifBlock(little, 0x0112, 6, 1, 6), 6},
		{"signed short", exifBlock(big, 0x0112, 8, 1, 6), 6},
		{"signed long", exifBlock(little, 0x0112, 9, 1, 6), 6},
		{"below zero", exifBlock(little, 0x0112, 8, 1, 0xfffa), 1},
		{"two values", exifBlock(little, 0x0112, 3, 2, 6), 6},
		{"no value", exifBlock(little, 0x0112, 3, 0, 6), 1},
		{"values elsewhere", exifBlock(little, 0x0112, 3, 3, 6), 1},
		{"other tag", exifBlock(little, 0x0100, 3, 1, 6), 1},
		{"directory in header", loop, 1},
		{"directory behind the end", far, 1},
		{"more entries than bytes", many, 1},
		{"cut", exifBlock(little, 0x0112, 3, 1, 6)[:20], 1},
		{"nothing", nil, 1},
		{"no TIFF", []byte("Exif\x00\x00II*\x00"), 1},
	} {
		if got := exifOrientation(c.b); got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}

func TestJPEGOrientation(t *testing.T) {
	b := testFile(t, "orient6.jpg")
	at := bytes.Index(b, []byte("\xff\xe1"))
	insert := func(s string) []byte { return slices.Concat(b[:at], []byte(s), b[at:]) }
	for name, c := range map[string]struct {
		b    []byte
		want int
	}{
		"as written":          {b, 6},
		"fill bytes":          {insert("\xff\xff"), 6},
		"other APP1 before":   {insert("\xff\xe1\x00\x08http:/"), 6},
		"marker without data": {insert("\xff\x01"), 6},
		"scan before":         {insert("\xff\xda\x00\x02"), 1},
		"no marker":           {insert("x"), 1},
		"length of one":       {insert("\xff\xe0\x00\x01"), 1},
		"length over the end": {b[:at+30], 1},
	} {
		if got := jpegOrientation(c.b); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
}

// TestOrient turns an image of 2 x 3 pixels, numbered from 1, eight ways.
func TestOrient(t *testing.T) {
	m := New(2, 3)
	for i := range m.Pix {
		m.Pix[i] = uint8(i/3 + 1)
	}
	for o, want := range map[int]string{
		1: "12|34|56", 2: "21|43|65", 3: "65|43|21", 4: "56|34|12",
		5: "135|246", 6: "531|642", 7: "642|531", 8: "246|135",
	} {
		r, got := orient(m, o), ""
		for i := range r.W * r.H {
			if i > 0 && i%r.W == 0 {
				got += "|"
			}
			got += string('0' + rune(r.Pix[3*i]))
		}
		if got != want {
			t.Errorf("orientation %d: got %s, want %s", o, got, want)
		}
	}
}

func FuzzEXIF(f *testing.F) {
	f.Add(exifBlock(binary.LittleEndian, 0x0112, 3, 1, 6))
	f.Add(exifBlock(binary.BigEndian, 0x0112, 3, 1, 3))
	f.Add(testFile(f, "orient5.jpg")[:200])
	f.Add(testFile(f, "rgba.png"))
	f.Add(testFile(f, "orient6.webp"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, got := range map[string]int{
			"EXIF": exifOrientation(b), "JPEG": jpegOrientation(b), "PNG": pngOrientation(b), "WebP": webpOrientation(b),
		} {
			if got < 1 || got > 8 {
				t.Errorf("%s: got %d, want 1 to 8", name, got)
			}
		}
		if isWebP(b) {
			if got := webpOrientation(b); got < 1 || got > 8 {
				t.Errorf("WebP: got %d, want 1 to 8", got)
			}
		}
	})
}
