package image

import (
	"encoding/binary"
	"errors"
	"image"

	"github.com/gen2brain/heic"
)

// The decoder copies libheif's planes to memory that it sizes by the width that the boxes say. Two kinds of images
// need more: those narrower than libheif's narrowest plane, and 4:4:4 of more than 8 bits, which alone keeps two
// bytes a sample. Their boxes are changed to say a greater width, which libheif does not mind, and the planes are
// found where libheif puts them.

// HEVC's chroma_format_idc.
const (
	chromaNone = iota
	chroma420
	chroma422
	chroma444
)

// heicNarrow is the width from which on libheif's planes are as wide as the decoder expects: no plane is narrower
// than 64, and those of color may be half as wide as the image.
const heicNarrow = 97

// wide says whether libheif keeps two bytes a sample.
func (it heifItem) wide() bool { return it.chroma == chroma444 && it.bits > 8 }

func (it heifItem) needsRoom() bool {
	return it.chroma >= 0 && (it.wide() || it.w < heicNarrow)
}

// heicPlane is how libheif holds one plane.
type heicPlane struct{ w, h, stride int }

// planes are those of the stored image: luma, and two of color where there is any.
func (it heifItem) planes() []heicPlane {
	plane := func(w, h int) heicPlane {
		bytes := max(64, w+w%2)
		if it.wide() {
			bytes *= 2
		}
		return heicPlane{w, h, (bytes + 15) &^ 15}
	}
	planes := []heicPlane{plane(it.w, it.h)}
	cw, ch := it.w, it.h
	switch it.chroma {
	case chromaNone:
		return planes
	case chroma420:
		cw, ch = (cw+1)/2, (ch+1)/2
	case chroma422:
		cw = (cw + 1) / 2
	}
	return append(planes, plane(cw, ch), plane(cw, ch))
}

func decodeRoomyHEIC(b []byte, it heifItem, o Options) (*RGB, error) {
	room := 2 * it.planes()[0].stride
	m, err := guard(func() (image.Image, error) { return heic.Decode(reader(it.stored(b, room))) })
	if err != nil {
		return nil, it.explain(err)
	}
	if m = it.repack(m); m == nil {
		return nil, it.explain(errors.New("planes of other sizes than the boxes say"))
	}
	out, err := fromHEIF(b, m, o)
	if err != nil {
		return nil, err
	}
	x, y, w, h := it.shown()
	return it.upright(Crop(out, x, y, w, h)), nil
}

// repack takes the planes out of what the decoder copied; nil where they are not whole.
func (it heifItem) repack(m image.Image) image.Image {
	whole := image.Rect(0, 0, it.w, it.h)
	var raw []byte
	switch m := m.(type) {
	case *image.YCbCr:
		raw = append(append(append(raw, m.Y...), m.Cb...), m.Cr...)
	case *image.Gray:
		raw = m.Pix
	case *image.NRGBA: // the planes of a file whose matrix is RGB itself: interleaved, of 8 bits
		stride := 4 * max(64, it.w+it.w%2)
		if len(m.Pix) < stride*it.h {
			return nil
		}
		return &image.NRGBA{Pix: m.Pix, Stride: stride, Rect: whole}
	default:
		return nil
	}
	var planes [][]byte
	for _, p := range it.planes() {
		n := p.stride * p.h
		if len(raw) < n {
			return nil
		}
		planes = append(planes, it.narrowed(raw[:n], p))
		raw = raw[n:]
	}
	if len(planes) == 1 {
		return &image.Gray{Pix: planes[0], Stride: it.w, Rect: whole}
	}
	ratio := map[int]image.YCbCrSubsampleRatio{
		chroma420: image.YCbCrSubsampleRatio420,
		chroma422: image.YCbCrSubsampleRatio422,
		chroma444: image.YCbCrSubsampleRatio444,
	}[it.chroma]
	return &image.YCbCr{
		Y: planes[0], Cb: planes[1], Cr: planes[2],
		YStride: it.w, CStride: it.planes()[1].w, SubsampleRatio: ratio, Rect: whole,
	}
}

// narrowed is a plane without padding, of 8 bits a sample.
func (it heifItem) narrowed(raw []byte, p heicPlane) []byte {
	out := make([]byte, 0, p.w*p.h)
	for ; len(raw) > 0; raw = raw[p.stride:] {
		if !it.wide() {
			out = append(out, raw[:p.w]...)
			continue
		}
		for x := range p.w {
			out = append(out, byte(binary.LittleEndian.Uint16(raw[2*x:])>>(it.bits-8)))
		}
	}
	return out
}
