package image

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"

	"github.com/gen2brain/avif"
	"github.com/gen2brain/heic"
)

// HEIC and AVIF are one container of boxes (ISO/IEC 23008-12) around images of two codecs. The codecs are those of
// gen2brain: libde265 and dav1d compiled to WebAssembly, so that a bad file cannot reach the program's memory. What
// they would find out only by decoding (size, turn), heifProperties reads from the boxes.

func isHEIC(b []byte) bool {
	return heifBrand(b, "heic", "heix", "heim", "heis", "mif1", "msf1", "hevc", "hevx") && !heifBrand(b, "avif", "avis")
}

func isAVIF(b []byte) bool { return heifBrand(b, "avif", "avis") }

// heifBrand says whether a file's main brand is one of those, or, where that is the general "mif1", a compatible brand
// is.
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

func heifConfig(b []byte) (int, int, error) {
	it := heifProperties(b)
	switch {
	case !it.found && it.moves:
		return 0, 0, refuse("", ErrUnsupported, "a sequence without a still image")
	case !it.found:
		return 0, 0, refuse("", ErrCorrupt, "no size of the main image among its boxes")
	}
	if it.w > 0 && it.h > 0 && it.largest/it.w > it.h { // let the limit see the largest
		return it.largest, 1, nil
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

// decodeHEIC turns the image as its boxes say, whatever the options are: its EXIF orientation repeats them and does
// not count.
func decodeHEIC(b []byte, o Options) (*RGB, error) {
	it := heifProperties(b)
	if it.needsRoom() {
		return decodeRoomyHEIC(b, it, o)
	}
	m, err := guard(func() (image.Image, error) { return heic.Decode(reader(b)) })
	if err != nil {
		return nil, it.explain(err)
	}
	return fromHEIF(b, m, o)
}

func decodeAVIF(b []byte, o Options) (*RGB, error) {
	m, err := guard(func() (image.Image, error) { return avif.Decode(reader(b)) })
	if err != nil {
		return nil, heifProperties(b).explain(err)
	}
	out, err := fromHEIF(b, m, o)
	if err != nil {
		return nil, err
	}
	return heifProperties(b).upright(out), nil // the decoder leaves it as it is stored
}

// upright turns and mirrors m as the boxes say.
func (it heifItem) upright(m *RGB) *RGB {
	m = orient(m, []int{1, 8, 3, 6}[it.turn])
	return orient(m, []int{1, 4, 2}[it.mirror])
}

func fromHEIF(b []byte, m image.Image, o Options) (*RGB, error) {
	if w, h := m.Bounds().Dx(), m.Bounds().Dy(); w <= 0 || h <= 0 || int64(w) > o.maxPixels()/int64(h) {
		return nil, refuse("", ErrTooLarge, "%d x %d pixels, limit %d", w, h, o.maxPixels())
	}
	out := fromImage(m)
	// Both decoders free their result before they hand it over, and lose its first bytes: the row below stands in.
	mend := func(pix []uint8, n int) []uint8 { // in place
		if out.H > 1 {
			copy(pix[:n*min(out.W, 32)], pix[n*out.W:])
		}
		return pix
	}
	mend(out.Pix, 3)
	if bytes.Contains(b, []byte("urn:mpeg:mpegB:cicp:systems:auxiliary:alpha")) ||
		bytes.Contains(b, []byte("urn:mpeg:hevc:2015:auxid:1")) {
		out.native = alphaOf(m).moved(mend)
	}
	return out, nil
}

// explain makes an *Error of a decoder's, which says no more than that it failed, or where its WebAssembly stopped.
func (it heifItem) explain(err error) error {
	switch it.coding {
	case "", "hvc1", "av01", "grid", "iden", "iovl":
	default:
		return refuse("", ErrUnsupported, "an image coded as %q, want HEVC or AV1", it.coding)
	}
	if it.bits > 12 {
		return refuse("", ErrUnsupported, "%d bits a sample, want at most 12", it.bits)
	}
	return refuse("", ErrCorrupt, "the decoder cannot read it")
}
