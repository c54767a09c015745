package image

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"

	"github.com/gen2brain/avif"
	"github.com/gen2brain/heic"
)

// HEIC and AVIF are one container of boxes (ISO/IEC 23008-12) around pictures of two codecs. The codecs are those of gen2brain: libde265 and
// dav1d compiled to WebAssembly, so that a bad file cannot reach the program's memory. What they would find out only by decoding (size,
// turn), heifProperties reads from the boxes.

func isHEIC(b []byte) bool {
	return heifBrand(b, "heic", "heix", "heim", "heis", "mif1", "msf1", "hevc", "hevx") && !heifBrand(b, "avif", "avis")
}

func isAVIF(b []byte) bool { return heifBrand(b, "avif", "avis") }

// heifBrand says whether a file's main brand is one of those, or, where that is the general "mif1", a compatible brand is.
func heifBrand(b []byte, brands ...string) bool {
	if len(b) < 12 || string(b[4:8]) != "ftyp" {
		return false
	}
	is := func(s []byte) bool {
		for _, brand := range brands {
			if string(s) == brand {
				return true
			}
		}
		return false
	}
	if is(b[8:12]) {
		return true
	}
	if string(b[8:12]) != "mif1" && string(b[8:12]) != "msf1" {
		return false
	}
	for i := 16; i+4 <= len(b) && i < int(min(binary.BigEndian.Uint32(b), 256)); i += 4 {
		if is(b[i : i+4]) {
			return true
		}
	}
	return false
}

// heifItem is what the boxes say of the main picture.
type heifItem struct {
	w, h   int  // as it is stored
	most   int  // pixels of the largest picture in the file, which may be a tile's frame
	turn   int  // quarters, counterclockwise
	mirror int  // 0 no, 1 top to bottom, 2 left to right
	found  bool // it has a size
}

// heifBoxes calls yield for each whole box in b.
func heifBoxes(b []byte, yield func(kind string, body []byte)) {
	for len(b) >= 8 {
		head, n := 8, uint64(binary.BigEndian.Uint32(b))
		switch {
		case n == 0:
			n = uint64(len(b))
		case n == 1 && len(b) >= 16:
			head, n = 16, binary.BigEndian.Uint64(b[8:])
		}
		if n < uint64(head) || n > uint64(len(b)) {
			return
		}
		yield(string(b[4:8]), b[head:n])
		b = b[n:]
	}
}

// heifProperties reads meta/pitm, meta/iprp/ipco and meta/iprp/ipma.
func heifProperties(b []byte) (it heifItem) {
	var main uint32
	var properties []struct {
		kind string
		body []byte
	}
	var links []byte
	heifBoxes(b, func(kind string, body []byte) {
		if kind != "meta" || len(body) < 4 {
			return
		}
		heifBoxes(body[4:], func(kind string, body []byte) {
			switch {
			case kind == "pitm" && len(body) >= 6 && body[0] == 0:
				main = uint32(binary.BigEndian.Uint16(body[4:]))
			case kind == "pitm" && len(body) >= 8:
				main = binary.BigEndian.Uint32(body[4:])
			case kind == "iprp":
				heifBoxes(body, func(kind string, body []byte) {
					if kind == "ipma" {
						links = body
					}
					if kind == "ipco" {
						heifBoxes(body, func(kind string, body []byte) {
							properties = append(properties, struct {
								kind string
								body []byte
							}{kind, body})
						})
					}
				})
			}
		})
	})
	size := func(body []byte) (w, h int) {
		return int(binary.BigEndian.Uint32(body[4:])), int(binary.BigEndian.Uint32(body[8:]))
	}
	for _, p := range properties {
		if p.kind == "ispe" && len(p.body) >= 12 {
			if w, h := size(p.body); w > 0 && h > it.most/w {
				it.most = w * h
			}
		}
	}
	for _, i := range heifLinks(links, main) {
		if i < 1 || i > len(properties) {
			continue
		}
		switch p := properties[i-1]; {
		case p.kind == "ispe" && len(p.body) >= 12:
			it.w, it.h = size(p.body)
			it.found = true
		case p.kind == "irot" && len(p.body) >= 1:
			it.turn = int(p.body[0] & 3)
		case p.kind == "imir" && len(p.body) >= 1:
			it.mirror = 1 + int(p.body[0]&1)
		}
	}
	return it
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
			out = append(out, int(take(width(wideLink, 1, 2)))&(1<<(width(wideLink, 8, 16)-1)-1)) // the first bit says that it is essential
		}
		if id == item {
			return out
		}
	}
	return nil
}

func heifConfig(b []byte) (int, int, error) {
	it := heifProperties(b)
	if !it.found {
		return 0, 0, fmt.Errorf("no size of the main picture among its boxes")
	}
	if it.w > 0 && it.h > 0 && it.most/it.w > it.h { // let the limit see the largest
		return it.most, 1, nil
	}
	return it.w, it.h, nil
}

// guard makes an error of a decoder's panic.
func guard(decode func() (image.Image, error)) (m image.Image, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the decoder broke off: %v", p)
		}
	}()
	return decode()
}

// heicNarrow is the width below which the decoder takes its own rows for shorter than they are: no plane of libheif's is narrower than 64, and
// those of colour are half as wide as the picture.
const heicNarrow = 97

// decodeHEIC turns the picture as its boxes say, whatever the options are: its EXIF orientation repeats them and does not count.
func decodeHEIC(b []byte, o Options) (*RGB, error) {
	if it := heifProperties(b); it.w < heicNarrow {
		return nil, refuse("HEIC", ErrUnsupported, "%d pixels wide, want %d or more", it.w, heicNarrow)
	}
	m, err := guard(func() (image.Image, error) { return heic.Decode(reader(b)) })
	if err != nil {
		return nil, heifReason(err)
	}
	return fromHEIF(b, m, o)
}

func decodeAVIF(b []byte, o Options) (*RGB, error) {
	m, err := guard(func() (image.Image, error) { return avif.Decode(reader(b)) })
	if err != nil {
		return nil, heifReason(err)
	}
	out, err := fromHEIF(b, m, o)
	if err != nil {
		return nil, err
	}
	it := heifProperties(b) // the decoder leaves it as it is stored
	out = orient(out, []int{1, 8, 3, 6}[it.turn])
	return orient(out, []int{1, 4, 2}[it.mirror]), nil
}

func fromHEIF(b []byte, m image.Image, o Options) (*RGB, error) {
	if w, h := m.Bounds().Dx(), m.Bounds().Dy(); w <= 0 || h <= 0 || int64(w) > o.maxPixels()/int64(h) {
		return nil, refuse("", ErrTooLarge, "%d x %d pixels, limit %d", w, h, o.maxPixels())
	}
	out := fromImage(m)
	// Both free their result before they hand it over, and lose its first bytes: the row below stands in.
	mend := func(pix []uint8, n int) []uint8 { // in place
		if out.H > 1 {
			copy(pix[:n*min(out.W, 32)], pix[n*out.W:])
		}
		return pix
	}
	mend(out.Pix, 3)
	if bytes.Contains(b, []byte("urn:mpeg:mpegB:cicp:systems:auxiliary:alpha")) || bytes.Contains(b, []byte("urn:mpeg:hevc:2015:auxid:1")) {
		out.own = alphaOf(m).moved(mend)
	}
	return out, nil
}

// heifReason: the decoders say no more than that they failed.
func heifReason(err error) error {
	if err == heic.ErrDecode || err == avif.ErrDecode {
		return fmt.Errorf("the decoder cannot read it")
	}
	return err
}
