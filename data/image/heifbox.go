package image

import (
	"encoding/binary"
	"math"
	"slices"
)

// heifItem is what the boxes of a HEIF file say of its main image. The slices are parts of the file.
type heifItem struct {
	w, h    int    // as it is stored
	largest int    // pixels of the largest image in the file, which may be a tile's frame
	turn    int    // quarters, counterclockwise
	mirror  int    // 0 no, 1 top to bottom, 2 left to right
	found   bool   // it has a size
	coding  string // four letters: "hvc1", "av01", "grid" of such, "jpeg"; "" where the boxes do not say
	moves   bool   // the file holds a sequence of images
	chroma  int    // HEVC's chroma_format_idc: 0 grey, 1 4:2:0, 2 4:2:2, 3 4:4:4; -1 where the image is not HEVC itself
	bits    int    // of an HEVC sample
	clap    []byte // the body of the box that says which part is shown; nil is all
	names   [][]byte
	sizes   [][]byte
}

// heifBox is one box: name is its four letters.
type heifBox struct{ name, body []byte }

// heifBoxes lists the whole boxes in b.
func heifBoxes(b []byte) (boxes []heifBox) {
	for len(b) >= 8 {
		head, n := 8, uint64(binary.BigEndian.Uint32(b))
		switch {
		case n == 0:
			n = uint64(len(b))
		case n == 1 && len(b) >= 16:
			head, n = 16, binary.BigEndian.Uint64(b[8:])
		}
		if n < uint64(head) || n > uint64(len(b)) {
			return boxes
		}
		boxes = append(boxes, heifBox{b[4:8], b[head:n]})
		b = b[n:]
	}
	return boxes
}

// heifChild lists the boxes within the last box of a name; skip is how much of its body comes before them.
func heifChild(boxes []heifBox, name string, skip int) (inner []heifBox) {
	for _, box := range boxes {
		if string(box.name) == name && len(box.body) >= skip {
			inner = heifBoxes(box.body[skip:])
		}
	}
	return inner
}

// heifProperties reads meta/pitm, meta/iprp/ipco and meta/iprp/ipma.
func heifProperties(b []byte) heifItem {
	it := heifItem{chroma: -1}
	var main uint32
	top := heifBoxes(b)
	it.moves = slices.ContainsFunc(top, func(box heifBox) bool { return string(box.name) == "moov" })
	meta := heifChild(top, "meta", 4)
	for _, box := range meta {
		switch {
		case string(box.name) == "pitm" && len(box.body) >= 6 && box.body[0] == 0:
			main = uint32(binary.BigEndian.Uint16(box.body[4:]))
		case string(box.name) == "pitm" && len(box.body) >= 8:
			main = binary.BigEndian.Uint32(box.body[4:])
		}
	}
	it.coding = heifCoding(meta, main)
	iprp := heifChild(meta, "iprp", 0)
	properties := heifChild(iprp, "ipco", 0)
	for _, p := range properties {
		if string(p.name) == "ispe" && len(p.body) >= 12 {
			if w, h := heifSize(p.body); w > 0 && h > it.largest/w {
				it.largest = w * h
			}
		}
	}
	for _, box := range iprp {
		if string(box.name) != "ipma" {
			continue
		}
		for _, i := range heifLinks(box.body, main) {
			if i >= 1 && i <= len(properties) {
				it.take(properties[i-1])
			}
		}
	}
	return it
}

// heifCoding reads from iinf/infe how an item is coded.
func heifCoding(meta []heifBox, item uint32) string {
	entries := heifChild(meta, "iinf", 6)
	for _, box := range meta {
		if string(box.name) == "iinf" && len(box.body) >= 8 && box.body[0] != 0 { // its count takes four bytes
			entries = heifBoxes(box.body[8:])
		}
	}
	for _, e := range entries {
		switch b := e.body; {
		case len(b) >= 12 && b[0] == 2 && uint32(binary.BigEndian.Uint16(b[4:])) == item:
			return string(b[8:12])
		case len(b) >= 14 && b[0] == 3 && binary.BigEndian.Uint32(b[4:]) == item:
			return string(b[10:14])
		}
	}
	return ""
}

// take notes a property of the main image.
func (it *heifItem) take(p heifBox) {
	switch name := string(p.name); {
	case name == "ispe" && len(p.body) >= 12:
		it.w, it.h = heifSize(p.body)
		it.found = true
		it.sizes = append(it.sizes, p.body[4:12])
	case name == "irot" && len(p.body) >= 1:
		it.turn = int(p.body[0] & 3)
		it.names = append(it.names, p.name)
	case name == "imir" && len(p.body) >= 1:
		it.mirror = 1 + int(p.body[0]&1)
		it.names = append(it.names, p.name)
	case name == "clap" && len(p.body) >= 32:
		it.clap = p.body
		it.names = append(it.names, p.name)
	case name == "hvcC" && len(p.body) >= 18:
		it.chroma, it.bits = int(p.body[16]&3), int(p.body[17]&7)+8
	}
}

func heifSize(body []byte) (w, h int) {
	return int(binary.BigEndian.Uint32(body[4:])), int(binary.BigEndian.Uint32(body[8:]))
}

// heifLinks finds the numbers, from 1, of the properties of one item.
func heifLinks(b []byte, item uint32) []int {
	if len(b) < 8 {
		return nil
	}
	wideID, wideLink := b[0] >= 1, b[3]&1 != 0
	entries := binary.BigEndian.Uint32(b[4:])
	b = b[8:]
	take := func(n int) (v uint32) {
		if len(b) < n {
			b = nil
			return 0
		}
		for _, c := range b[:n] {
			v = v<<8 | uint32(c)
		}
		b = b[n:]
		return v
	}
	width := func(wide bool, small, large int) int {
		if wide {
			return large
		}
		return small
	}
	for ; entries > 0 && len(b) > 0; entries-- {
		id, n := take(width(wideID, 2, 4)), take(1)
		var out []int
		for ; n > 0 && len(b) > 0; n-- {
			// The first bit says that the property is essential.
			out = append(out, int(take(width(wideLink, 1, 2)))&(1<<(width(wideLink, 8, 16)-1)-1))
		}
		if id == item {
			return out
		}
	}
	return nil
}

// shown is the part of the stored image that is shown (ISO/IEC 14496-12, 12.1.4): all of it where the box is damaged.
func (it heifItem) shown() (x, y, w, h int) {
	if it.clap == nil {
		return 0, 0, it.w, it.h
	}
	value := func(i int) float64 {
		numerator := float64(int32(binary.BigEndian.Uint32(it.clap[8*i:])))
		return numerator / float64(int32(binary.BigEndian.Uint32(it.clap[8*i+4:])))
	}
	start := func(offset, whole, part float64) int { return int(math.Round(offset + (whole-1)/2 - (part-1)/2)) }
	w, h = int(value(0)), int(value(1))
	x = start(value(2), float64(it.w), float64(w))
	y = start(value(3), float64(it.h), float64(h))
	if w < 1 || h < 1 || x < 0 || y < 0 || w > it.w-x || h > it.h-y {
		return 0, 0, it.w, it.h
	}
	return x, y, w, h
}

// stored is a copy of the file in which the main image is w pixels wide, and shown as it is stored.
func (it heifItem) stored(b []byte, w int) []byte {
	b = slices.Clone(b)
	copied := heifProperties(b)
	for _, size := range copied.sizes {
		binary.BigEndian.PutUint32(size, uint32(w))
	}
	for _, name := range copied.names {
		copy(name, "skip")
	}
	return b
}
